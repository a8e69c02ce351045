import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const OF_OTHERS = /\(the runtime's words\)/;
/** Shorter pieces of a message could stand anywhere. */
const TELLING = 8;

const sources = ["src", "clients/python/src", "scripts", "examples"]
  .flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !/\.(test|fixture)\.ts$|\.pyc$/.test(entry.name))
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8")),
  )
  .join("\n")
  // A message may go on in the next string.
  .replace(/["'`]\s*\+?\s*\n\s*f?["'`]/g, "");

const messages = readFileSync(join(ROOT, "docs/troubleshooting.md"), "utf8")
  .split("\n")
  .filter((line) => line.startsWith("| ") && !OF_OTHERS.test(line))
  .flatMap((line) => [...(line.split(" | ")[0] ?? "").matchAll(/``(.+?)``|`(.+?)`/g)])
  .flatMap(([, long, short]) => (long ?? short ?? "").trim().split(/ ?\.\.\. ?|<\w+>/))
  .filter((piece) => piece.length >= TELLING);

test("every message that the manual explains is one that the program or the client gives", () => {
  expect(messages.length).toBeGreaterThan(50);
  expect(messages.filter((piece) => !sources.includes(piece))).toEqual([]);
});

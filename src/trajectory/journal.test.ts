import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Journal, readEnds, readLines, Syncer } from "./journal.ts";
import { type Line, restoreChunks, storeChunks } from "./lines.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sandlot-journal-"));
  path = join(folder, "a", "journal.jsonl");
});
afterEach(() => rmSync(folder, { recursive: true }));

const line = (gradeId: string): Line => ({
  type: "submission",
  at: 1,
  gradeId,
  patchBase64: "",
  leftOut: [],
  tookMs: 1,
});

test("a line is in the file before append returns, and is read again by its position", () => {
  const journal = new Journal(path, new Syncer());
  journal.append(line("first"));
  const second = journal.append(line("zweite – ü"));
  expect(readFileSync(path, "utf8").split("\n")).toHaveLength(3);
  expect(journal.read(second)).toEqual(line("zweite – ü"));
  journal.close();
});

test("a torn last line is dropped, and the next line follows the last whole one", () => {
  const journal = new Journal(path, new Syncer());
  journal.append(line("whole"));
  journal.close();
  appendFileSync(path, '{"type":"submission","at":2,"grad');
  expect(readLines(path).map(({ line }) => line)).toEqual([line("whole")]);
  const again = new Journal(path, new Syncer());
  again.append(line("next"));
  expect(readLines(path).map(({ line }) => line)).toEqual([line("whole"), line("next")]);
  again.close();
});

test("a journal that cannot be made is a reason to come back, not a bug", () => {
  writeFileSync(join(folder, "a"), "");
  expect(() => new Journal(path, new Syncer())).toThrow(expect.objectContaining({ fault: "busy" }));
});

test("a file that holds only a torn line is empty", () => {
  const journal = new Journal(path, new Syncer());
  journal.close();
  appendFileSync(path, '{"type":');
  expect(readLines(path)).toEqual([]);
  expect(readEnds(path)).toBeUndefined();
});

test("first and last line are found without reading what is between, also when lines are longer than the window", () => {
  const journal = new Journal(path, new Syncer());
  for (const id of ["x".repeat(200_000), "middle", "y".repeat(300_000)]) journal.append(line(id));
  expect(readEnds(path)).toEqual({ first: line("x".repeat(200_000)), last: line("y".repeat(300_000)) });
  journal.append(line("short"));
  expect(readEnds(path)?.last).toEqual(line("short"));
  journal.close();
});

test("output survives the journal byte for byte, text or not", () => {
  const chunks = [
    { offset: 0, stream: "stdout" as const, data: Buffer.from("grün\n") },
    { offset: 6, stream: "stderr" as const, data: Buffer.from([0xff, 0x00, 0xc3]) },
  ];
  expect(restoreChunks(JSON.parse(JSON.stringify(storeChunks(chunks))))).toEqual(chunks);
});

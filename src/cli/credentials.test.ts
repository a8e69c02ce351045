import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Credentials } from "./credentials.ts";

let folder: string;
const read = (text: string, env: Record<string, string> = {}) => {
  const file = join(folder, "credentials.txt");
  writeFileSync(file, text);
  return Credentials.read(file, env);
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sandlot-credentials-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("tokens come with their scopes, and the environment goes before the file", () => {
  const text = "# people\nSANDLOT_TOKEN_A=first-token\n\nSANDLOT_TOKEN_B=other-token rollout,hidden\nOTHER=x\n";
  expect(read(text, { SANDLOT_TOKEN_A: "newer-token admin" }).tokens).toEqual([
    { token: "newer-token", scopes: ["admin"] },
    { token: "other-token", scopes: ["rollout", "hidden"] },
  ]);
  expect(Credentials.read(join(folder, "nowhere"), {}).tokens).toEqual([]);
});

test.each(["SANDLOT_TOKEN_A=short", "SANDLOT_TOKEN_A=long-enough root", "not a line"])("%j is refused", (text) => {
  const act = () => read(text).tokens;
  expect(act).toThrow(/expected/);
  expect(act).not.toThrow(/long-enough/);
});

test("a file that is there and cannot be read is told, not passed over", () => {
  const act = () => Credentials.read(folder, {});
  expect(act).toThrow(`credentials: expected a file that can be read, got ${folder} (EISDIR)`);
  expect(act).toThrow(expect.objectContaining({ fault: "invalid" }));
});

test("secrets show nowhere", () => {
  const credentials = read("SANDLOT_TOKEN_A=first-token hidden\n");
  expect(JSON.stringify({ credentials })).not.toContain("first-token");
  expect(inspect(credentials)).not.toContain("first-token");
  expect(credentials.redact("said first-token twice: first-token")).toBe("said [redacted] twice: [redacted]");
});

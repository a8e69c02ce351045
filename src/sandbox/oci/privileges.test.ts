import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { missingPrivileges } from "./privileges.ts";

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "sandlot-privileges-"));
  mkdirSync(join(root, "proc/self"), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true }));

test.each([
  ["a container of Docker as it is", "00000000a80425fb", 2, ["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "system calls"]],
  ["one with --cap-add SYS_ADMIN", "00000000a82425fb", 2, ["CAP_NET_ADMIN", "system calls"]],
  ["one with both and without a filter", "00000000a82435fb", 0, []],
  ["root of a machine", "000001ffffffffff", 0, []],
])("%s lacks what it has not", (_who, capabilities, seccomp, expected) => {
  writeFileSync(join(root, "proc/self/status"), `CapEff:\t${capabilities}\nSeccomp:\t${seccomp}\n`);
  const missing = missingPrivileges(undefined, root);
  expect(missing.map((text) => text.split(/ (?:\(|that)/)[0])).toEqual(expected);
  for (const text of missing) expect(text).toMatch(/\(--(cap-add|security-opt) .*\)$/);
});

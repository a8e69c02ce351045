import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const binary = join(import.meta.dirname, "sandlot-runner");
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sandlot-test-"));
  for (const name of ["lower", "upper", "work", "at"]) mkdirSync(join(folder, name));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const start = (options: string, ...command: string[]) =>
  spawnSync(binary, ["start", join(folder, "at"), options, "--", ...command], { encoding: "utf8" });
const options = (): string =>
  `lowerdir=${join(folder, "lower")},upperdir=${join(folder, "upper")},workdir=${join(folder, "work")}`;

describe("start on mounts", () => {
  it("says what failed, with exit code 1, and does not run the command", () => {
    const { status, stdout } = start("lowerdir=/nowhere/at/all", "touch", join(folder, "ran"));
    expect(status).toBe(1);
    expect(stdout).toMatch(/^.+: .+\n$/);
    expect(existsSync(join(folder, "ran"))).toBe(false);
  });

  it.runIf(process.getuid?.() === 0)("shows the overlay to the command alone, whose output is dropped", () => {
    const { status, stdout } = start(options(), "sh", "-c", `echo text | tee ${join(folder, "at/file")}; exit 5`);
    expect([status, stdout]).toEqual([5, ""]);
    expect(readFileSync(join(folder, "upper/file"), "utf8")).toBe("text\n");
    expect(existsSync(join(folder, "at/file"))).toBe(false);
  });

  it.runIf(process.getuid?.() === 0)("names the program that is not there", () => {
    const { status, stdout } = start(options(), "/no/such/program");
    expect([status, stdout]).toEqual([1, "/no/such/program: No such file or directory\n"]);
  });
});

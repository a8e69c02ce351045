import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { someRow } from "../../src/tasks/task.fixture.ts";
import { fileOf, hasRealData, realRuns } from "../../src/verdict/parity/real-data.fixture.ts";

const SANDLOT = join(import.meta.dirname, "../../scripts/sandlot");
const PASSES = ">>>>> Applied Patch\n>>>>> Start Test Output\nPASSED t.py::a\nPASSED t.py::b\n>>>>> End Test Output\n";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sandlot-test-"));
});
afterEach(() => rm(folder, { recursive: true }));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `sandlot verdict` on a row and a log, as files. */
async function verdict(row: unknown, log: string | Uint8Array, ...flags: string[]): Promise<Ended> {
  const [task, output] = [join(folder, "row.json"), join(folder, "log.txt")];
  await writeFile(task, typeof row === "string" ? row : JSON.stringify(row));
  await writeFile(output, log);
  return sandlot("verdict", "--task", task, "--log", output, ...flags);
}

function sandlot(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(SANDLOT, args, { timeout: 170_000, maxBuffer: 64 << 20 }, (_, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr }),
    );
  });
}

describe("sandlot verdict", () => {
  it("prints the report of a log in which all passed, and of one in which a test failed", async () => {
    const good = await verdict(someRow(), PASSES);
    expect(good).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(good.stdout)).toMatchObject({
      "acme__tool-1": { resolved: true, tests_status: { FAIL_TO_PASS: { success: ["t.py::a"], failure: [] } } },
    });
    const bad = await verdict(
      someRow(),
      PASSES.replace("PASSED t.py::b", "FAILED t.py::b - x"),
      "--rule",
      "swebench@5.0.2",
    );
    expect(JSON.parse(bad.stdout)).toMatchObject({
      "acme__tool-1": { resolved: false, tests_status: { PASS_TO_PASS: { success: [], failure: ["t.py::b"] } } },
    });
  });

  it("goes by the release that is named", async () => {
    const row = someRow({ repo: "pallets/flask", instance_id: "pallets__flask-1" });
    const report = JSON.parse((await verdict(row, PASSES, "--rule", "swebench@4.1.0")).stdout);
    expect(report).toMatchObject({ "pallets__flask-1": { resolved: true, patch_successfully_applied: true } });
    const unknown = await verdict(row, PASSES, "--rule", "swebench@3");
    expect(unknown).toMatchObject({ code: 2, stdout: "" });
    expect(unknown.stderr).toContain('--rule: expected swebench@5.0.2 or swebench@4.1.0, got "swebench@3"');
  });

  it("tells the status of every test, and whether the log could be read", async () => {
    const { stdout } = await verdict(someRow(), `${PASSES}SKIPPED t.py::z\n`, "--statuses");
    expect(JSON.parse(stdout)).toMatchObject({
      found: true,
      raised: false,
      status_map: { "t.py::a": "PASSED", "t.py::b": "PASSED" },
    });
  });

  it("reads a log that is no UTF-8, is empty, or never ran a test, as a test that was not seen to pass", async () => {
    for (const log of [new Uint8Array([0xff, 0xfe, 0, 10]), "", ">>>>> Patch Apply Failed\n"]) {
      const { code, stdout } = await verdict(someRow(), log);
      expect([code, JSON.parse(stdout)["acme__tool-1"].resolved]).toEqual([0, false]);
    }
  });

  it("says what is wrong with its inputs, by name", async () => {
    const noJson = await verdict("{", PASSES);
    expect(noJson).toMatchObject({ code: 1, stdout: "" });
    expect(noJson.stderr).toMatch(/row\.json: expected one JSON object, got an error/);
    const wrong = await verdict(someRow({ FAIL_TO_PASS: 7 }), PASSES);
    expect(wrong.stderr).toMatch(/FAIL_TO_PASS: expected/);
    await writeFile(join(folder, "row.json"), JSON.stringify(someRow()));
    const missing = await sandlot("verdict", "--task", join(folder, "row.json"), "--log", join(folder, "none"));
    expect(missing).toMatchObject({ code: 1, stdout: "" });
    expect(missing.stderr).toMatch(/--log: .*none/);
    expect(await sandlot("verdict", "--log", "x")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--task ROW"),
    });
  });

  it.skipIf(!hasRealData).each(realRuns().filter((_, at) => at % 16 === 0))(
    "prints the official report of $name",
    async (run) => {
      for (const [rule, harness] of [
        ["swebench@5.0.2", "v502"],
        ["swebench@4.1.0", "v410"],
      ] as const) {
        const { stdout } = await verdict(run.row, fileOf(run, "test_output.txt"), "--rule", rule);
        expect(JSON.parse(stdout)).toEqual(JSON.parse(fileOf(run, `expected.${harness}.json`).toString()).report);
      }
    },
  );
});

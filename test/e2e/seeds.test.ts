import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const MAIN = join(import.meta.dirname, "../../src/cli/main.ts");
const real = (process.env["SANDLOT_SEED_IDS"] ?? "").split(",").filter((id) => id !== "");
if (real.length === 0) {
  console.warn(
    "runs of the real seeds are skipped: they need a package index and clones or a network (set SANDLOT_SEED_IDS)",
  );
}

describe("seeds on the command line", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "seed-cli-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  function sandlot(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const env = { ...process.env, SANDLOT_STATE: join(folder, "state"), SANDLOT_CONFIG: "" };
    return new Promise((resolve) => {
      const child = execFile(process.execPath, [MAIN, ...args], { cwd: folder, env }, (_, stdout, stderr) =>
        resolve({ code: child.exitCode, stdout, stderr }),
      );
    });
  }

  it("are listed", async () => {
    const { code, stdout } = await sandlot("seed", "list", "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toContainEqual(expect.objectContaining({ task_id: "numpy-financial" }));
  });

  it("are known by their ids", async () => {
    const unknown = await sandlot("seed", "run", "--task-id", "nothing");
    expect(unknown).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("numpy-financial") });
    expect(await sandlot("seed", "run")).toMatchObject({ code: 2, stderr: expect.stringContaining("--task-id ID") });
    expect(await sandlot("seed", "walk")).toMatchObject({ code: 2, stderr: expect.stringContaining('got "walk"') });
  });

  it("never run where nothing isolates", async () => {
    const config = join(folder, "process.yaml");
    await writeFile(config, "backend: { type: process, commands_run_unprotected_on_this_host: true }\n");
    const refused = await sandlot("seed", "run", "--task-id", "numpy-financial", "--config", config);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("need a backend that isolates") });
  });

  it.skipIf(real.length === 0)("pass", { timeout: 600_000 }, async () => {
    for (const id of real) {
      const { code, stdout, stderr } = await sandlot("seed", "run", "--task-id", id, "--json");
      expect([code, stderr], stdout).toEqual([0, ""]);
      expect(Object.keys(JSON.parse(stdout) as object)).toEqual([
        ...["task_id", "repo", "ref", "pytest_k", "status", "duration_s", "tail"],
      ]);
    }
  });
});

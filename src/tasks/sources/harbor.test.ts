import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readTaskSet } from "../task-set.ts";
import { openSource } from "./open.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "harbor-"));
});
afterEach(() => rm(folder, { recursive: true }));

const TOML = '[environment]\nnetwork_mode = "no-network"\n[verifier]\ntimeout_sec = 60.0\n';

async function write(name: string, files: Readonly<Record<string, string>>): Promise<string> {
  const place = join(folder, name);
  await mkdir(join(place, "tests"), { recursive: true });
  for (const [file, text] of Object.entries(files)) await writeFile(join(place, file), text);
  return place;
}

const noHub = () => Promise.reject(new Error("no hub"));
const read = async (path: string) => readTaskSet({ sources: [await openSource(path, noHub)] });
const refusal = (path: string): Promise<string> =>
  read(path).then(
    () => expect.fail("expected a refusal"),
    (error) => error.message.replaceAll(folder, "HERE"),
  );

describe("a folder of Harbor's", () => {
  it("is a task, or holds tasks, in the order of their names", async () => {
    const files = { "task.toml": TOML, "instruction.md": "Do it.", "tests/test.sh": "" };
    const one = await write("beta", files);
    await write("alpha", files);
    await write("no-task", { "README.md": "" });
    expect((await read(one)).map(({ id, source }) => [id, source.dataset])).toEqual([["beta", "beta"]]);
    const all = await read(folder);
    expect(all.map(({ id }) => id)).toEqual(["alpha", "beta"]);
    expect(all[0]?.grader.files).toEqual([{ path: "/tests", from: join(folder, "alpha/tests") }]);
    expect(all[0]?.needs.map(({ capability }) => capability)).toEqual(["isolation", "images"]);
  });

  it("is refused where it has none, and where one is not whole", async () => {
    expect(await refusal(await write("empty", {}))).toBe(
      'tasks: expected a folder with a task.toml, or with folders that have one, got "HERE/empty"',
    );
    expect(await refusal(await write("mute", { "task.toml": TOML }))).toBe(
      "HERE/mute/task.toml: instruction: expected a file instruction.md beside it, got nothing",
    );
    expect(await refusal(await write("bad", { "task.toml": "a = [", "instruction.md": "x" }))).toMatch(
      /^HERE\/bad\/task.toml: \(row\): expected TOML, got an error: /,
    );
    const wrong = { "task.toml": "[verifier]\ntimeout_sec = true", "instruction.md": "x" };
    expect(await refusal(await write("wrong", wrong))).toBe(
      "HERE/wrong/task.toml: verifier.timeout_sec: expected a number, got true",
    );
  });
});

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { access, chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Environment } from "../../src/environments/environment.ts";
import { Environments } from "../../src/environments/prepare.ts";
import type { Progress } from "../../src/shelf/flight.ts";
import { EnvironmentRecipe } from "../../src/tasks/task.ts";
import { type BusyRepository, busyRepository, commit, git } from "../support/git-fixture.ts";
import { HOST_PATH, preparationOptions } from "../support/preparation.ts";

let root: string;
let state: string;
let busy: BusyRepository;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "sandlot-environments-"));
  state = join(root, "state");
  busy = await busyRepository(join(root, "busy"));
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

function recipe(more: Partial<Parameters<typeof EnvironmentRecipe.parse>[0]> & object = {}): EnvironmentRecipe {
  return EnvironmentRecipe.parse({ repository: { type: "path", path: busy.folder }, baseCommit: busy.base, ...more });
}

/** What lies in the state folder of environments: published ones, and what is half-made or locked. */
async function shelf(): Promise<{ published: readonly string[]; making: readonly string[]; locks: readonly string[] }> {
  const names = async (path: string): Promise<readonly string[]> => readdir(path).catch(() => []);
  const all = await names(join(state, "environments"));
  return {
    published: all.filter((name) => !name.startsWith(".")),
    making: await names(join(state, "environments", ".making")),
    locks: await names(join(state, "environments", ".locks")),
  };
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

describe("the repository of an environment", () => {
  test("with history `past` holds the base commit under its id, its ancestors and their tags, and nothing else of the source", async () => {
    const environment = await new Environments(preparationOptions(state)).prepare(recipe());
    const work = join(environment.layers.at(-1) ?? "", "testbed");
    expect(environment).toMatchObject({ baseCommit: busy.base, seal: busy.base, workdir: "/testbed" });
    expect(await git(work, "rev-parse", "HEAD")).toBe(busy.base);
    expect(await git(work, "rev-list", "HEAD")).toBe(`${busy.base}\n${busy.first}`);
    expect((await git(work, "tag")).split("\n")).toEqual(["base-tag", "v1", "v1-annotated"]);
    expect(await git(work, "describe", "--tags", "HEAD~1")).toMatch(/^v1/);
    expect(await git(work, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes", "refs/stash")).toBe(
      "refs/heads/main",
    );
    for (const id of busy.future) await expect(git(work, "cat-file", "-e", id)).rejects.toThrow();
    expect(await git(work, "status", "--porcelain")).toBe("");
    expect(await git(work, "remote")).toBe("");
    expect(await git(work, "fsck", "--unreachable", "--no-reflogs")).toBe("");
    const inside = await readdir(join(work, ".git"));
    expect(inside).not.toEqual(expect.arrayContaining([expect.stringMatching(/logs|hooks|_HEAD|shallow/)]));
    expect(await readFile(join(work, ".git", "config"), "utf8")).not.toMatch(/secret|remote/);
    expect(await isThere(join(work, "untracked.txt"))).toBe(false);
    expect(await isThere(`${busy.folder}.hook-ran`)).toBe(false);
  });

  test("with history `none` holds the base commit alone, under its id", async () => {
    const environment = await new Environments(preparationOptions(state)).prepare(recipe({ history: "none" }));
    const work = join(environment.layers.at(-1) ?? "", "testbed");
    expect(await git(work, "rev-list", "--all")).toBe(busy.base);
    expect(await git(work, "tag")).toBe("");
    expect(await git(work, "status", "--porcelain")).toBe("");
    for (const id of [...busy.future, busy.first]) await expect(git(work, "cat-file", "-e", id)).rejects.toThrow();
  });

  test("comes from a fast-export stream under the same ids", async () => {
    const stream = join(root, "history.fast-export");
    await writeFile(stream, `${await git(busy.folder, "fast-export", "--all")}\n`);
    const environment = await new Environments(preparationOptions(state)).prepare(
      recipe({ repository: { type: "fast-export", path: stream } }),
    );
    const work = join(environment.layers.at(-1) ?? "", "testbed");
    expect(await git(work, "rev-list", "HEAD")).toBe(`${busy.base}\n${busy.first}`);
    expect(await readdir(join(state, "environments", environment.key))).not.toContain("scratch.git");
  });

  test("comes by name from a folder of clones, with and without .git", async () => {
    await git(root, "clone", "--quiet", "--bare", busy.folder, join(root, "clones", "own__er-a.git"));
    await git(root, "clone", "--quiet", busy.folder, join(root, "clones", "own__er-b"));
    const environments = new Environments({ ...preparationOptions(state), repositories: [join(root, "clones")] });
    for (const name of ["own/er-a", "own/er-b"]) {
      const environment = await environments.prepare(recipe({ repository: { type: "name", name } }));
      expect(environment.seal).toBe(busy.base);
    }
  });
});

describe("a clone that is not whole", () => {
  const without = async (revision: string): Promise<void> => {
    const id = await git(busy.folder, "rev-parse", revision);
    await rm(join(busy.folder, ".git", "objects", id.slice(0, 2), id.slice(2)), { force: true });
  };

  test("may lack files of the past", async () => {
    await git(busy.folder, "checkout", "--quiet", "trunk");
    const first = await commit(busy.folder, { "big.bin": "once\n" }, "a big file");
    const base = await commit(busy.folder, { "big.bin": "other\n" }, "a smaller one");
    await without(`${first}:big.bin`);
    const environment = await new Environments(preparationOptions(state)).prepare(recipe({ baseCommit: base }));
    const work = join(environment.layers.at(-1) ?? "", "testbed");
    expect(await readFile(join(work, "big.bin"), "utf8")).toBe("other\n");
    expect((await git(work, "rev-list", "HEAD")).split("\n")).toHaveLength(5);
  });

  test("may not lack files of the base commit, and is told so", async () => {
    await without(`${busy.base}:src/add.py`);
    await expect(new Environments(preparationOptions(state)).prepare(recipe())).rejects.toMatchObject({
      fault: "task",
      message: expect.stringMatching(/partial: 1 files? /),
    });
    expect(await shelf()).toEqual({ published: [], making: [], locks: [] });
  });

  test("may be shallow: its history ends where the clone's does", async () => {
    const shallow = join(root, "shallow");
    await git(
      root,
      "-c",
      "protocol.file.allow=always",
      "clone",
      "--quiet",
      "--depth",
      "1",
      "--branch",
      "base-tag",
      `file://${busy.folder}`,
      shallow,
    );
    const environment = await new Environments(preparationOptions(state)).prepare(
      recipe({ repository: { type: "path", path: shallow } }),
    );
    const work = join(environment.layers.at(-1) ?? "", "testbed");
    expect(await git(work, "rev-list", "HEAD")).toBe(busy.base);
    expect(await git(work, "fsck")).toBe("");
  });
});

describe("preparing", () => {
  test("happens once for 16 who ask at the same time, each of whom sees progress", async () => {
    const environments = new Environments(preparationOptions(state));
    const seen: Progress[][] = Array.from({ length: 16 }, () => []);
    const got = await Promise.all(
      seen.map((events) => environments.prepare(recipe(), { onProgress: (event) => events.push(event) })),
    );
    expect(new Set(got.map((one) => one.key)).size).toBe(1);
    expect(await shelf()).toEqual({ published: [got[0]?.key], making: [], locks: [] });
    for (const events of seen) expect(events.filter((event) => event.stage === "checkout")).toHaveLength(1);
  });

  test("a second time copies nothing, in this process and in a new one", async () => {
    const first = await new Environments(preparationOptions(state)).prepare(recipe());
    const before = await stat(join(state, "environments", first.key));
    const events: Progress[] = [];
    const again = await new Environments(preparationOptions(state)).prepare(recipe(), {
      onProgress: (event) => events.push(event),
    });
    expect(again).toEqual(first);
    expect(events).toEqual([]);
    expect((await stat(join(state, "environments", first.key))).ino).toBe(before.ino);
  });

  test("happens once for two processes that ask at the same time", async () => {
    const children = [prepareInProcess(), prepareInProcess()];
    const lines = (await Promise.all(children.map((child) => child.done))).flat();
    expect(lines.filter((line) => line.includes('"checkout"'))).toHaveLength(1);
    expect(lines.filter((line) => line.includes('"environment"'))).toHaveLength(2);
    expect(await shelf()).toMatchObject({ published: [expect.any(String)], making: [], locks: [] });
  });

  test("killed with -9 in the middle leaves nothing that the next one does not remove", async () => {
    const slow = await slowGit("read-tree");
    const child = prepareInProcess(slow.path);
    const stuck = await slow.reached();
    child.process.kill("SIGKILL");
    await once(child.process, "close");
    process.kill(-stuck, "SIGKILL");
    expect(await shelf()).toMatchObject({ published: [], making: [expect.any(String)] });
    const environment = await new Environments(preparationOptions(state)).prepare(recipe());
    expect(await shelf()).toEqual({ published: [environment.key], making: [], locks: [] });
  });

  test("killed with -9 in the middle leaves nothing that a sweep does not remove", async () => {
    const slow = await slowGit("read-tree");
    const child = prepareInProcess(slow.path);
    const stuck = await slow.reached();
    await new Environments(preparationOptions(state)).sweep();
    expect((await shelf()).making).toHaveLength(1);
    child.process.kill("SIGKILL");
    await once(child.process, "close");
    process.kill(-stuck, "SIGKILL");
    // What held its lock goes soon after it.
    const swept = async () => {
      await new Environments(preparationOptions(state)).sweep();
      return shelf();
    };
    await expect.poll(swept).toEqual({ published: [], making: [], locks: [] });
  });

  test("goes on for the others when one of them leaves", async () => {
    const environments = new Environments(preparationOptions(state));
    const leaver = new AbortController();
    const [left, stayed] = await Promise.allSettled([
      environments.prepare(recipe(), { signal: leaver.signal, onProgress: () => leaver.abort(new Error("left")) }),
      environments.prepare(recipe()),
    ]);
    expect(left).toMatchObject({ status: "rejected", reason: { message: "left" } });
    expect(stayed).toMatchObject({ status: "fulfilled" });
  });

  test("ends when the last one leaves, leaves nothing, and can be asked for again at once", async () => {
    const environments = new Environments(preparationOptions(state));
    const leaver = new AbortController();
    const waiting = environments.prepare(recipe(), {
      signal: leaver.signal,
      onProgress: () => leaver.abort(new Error("left")),
    });
    await expect(waiting).rejects.toThrow("left");
    const environment = await environments.prepare(recipe());
    expect(await shelf()).toEqual({ published: [environment.key], making: [], locks: [] });
  });
});

describe("a preparation that fails", () => {
  test("says how to provide a repository that is not there, leaves nothing and is tried again", async () => {
    await mkdir(join(root, "clones"));
    const environments = new Environments({ ...preparationOptions(state), repositories: [join(root, "clones")] });
    const wanted = recipe({ repository: { type: "name", name: "own/er" } });
    await expect(environments.prepare(wanted)).rejects.toMatchObject({
      fault: "task",
      message: expect.stringMatching(/own__er\.git/),
      facts: { field: "environment.repository", knob: "repositories" },
    });
    expect(await shelf()).toEqual({ published: [], making: [], locks: [] });
    expect(await environments.missingRequirements(wanted)).toMatchObject([{ name: "repository" }]);
    await git(root, "clone", "--quiet", "--bare", busy.folder, join(root, "clones", "own__er.git"));
    expect(await environments.missingRequirements(wanted)).toEqual([]);
    await expect(environments.prepare(wanted)).resolves.toMatchObject({ seal: busy.base });
  });

  test("is shared by those who wait, names the clone that lacks the base commit, leaves nothing", async () => {
    const environments = new Environments(preparationOptions(state));
    const wanted = recipe({ baseCommit: "0".repeat(40) });
    const outcomes = await Promise.allSettled([environments.prepare(wanted), environments.prepare(wanted)]);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ reason: { fault: "task", message: expect.stringContaining(busy.folder) } });
    }
    expect(await shelf()).toEqual({ published: [], making: [], locks: [] });
  });

  test("names a program that this host does not have", async () => {
    const environments = new Environments(preparationOptions(state));
    const wanted = recipe({ requires: ["no-such-compiler"] });
    expect(await environments.missingRequirements(wanted)).toMatchObject([{ name: "no-such-compiler" }]);
    await expect(environments.prepare(wanted)).rejects.toMatchObject({
      fault: "task",
      message: expect.stringContaining("no-such-compiler"),
    });
  });
});

describe("collecting", () => {
  test("removes what nobody holds, least recently used first, and never what is held", async () => {
    const environments = new Environments({ ...preparationOptions(state), graceMs: 0 });
    const held = await environments.prepare(recipe());
    const old = await environments.prepare(recipe({ history: "none" }));
    const young = await environments.prepare(recipe({ workdir: "/work" }));
    environments.acquire(held.key);
    const size = Number(await readFile(join(state, "environments", young.key, "size"), "utf8"));
    const kept = Number(await readFile(join(state, "environments", held.key, "size"), "utf8"));
    const letGo: string[] = [];
    const release = async ({ layers }: Environment): Promise<void> => void letGo.push(...layers);
    expect((await environments.collect(size + kept, release)).removed).toEqual([old.key]);
    expect((await environments.collect(0, release)).removed).toEqual([young.key]);
    environments.release(held.key);
    expect((await environments.collect(0, release)).removed).toEqual([held.key]);
    expect(letGo).toEqual([old, young, held].flatMap(({ layers }) => layers));
    expect(await shelf()).toEqual({ published: [], making: [], locks: [] });
    expect(await environments.find(held.key)).toBeUndefined();
  });
});

interface PrepareProcess {
  readonly process: ChildProcess;
  readonly done: Promise<readonly string[]>;
}

function prepareInProcess(path = HOST_PATH): PrepareProcess {
  const script = new URL("../support/prepare-process.ts", import.meta.url).pathname;
  const args = [script, "--state", state, "--recipe", JSON.stringify(recipe()), "--path", path];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  return { process: child, done: once(child, "close").then(() => lines) };
}

/** A PATH whose git stops for ever at one command, and the group of the process that stopped. */
async function slowGit(command: string): Promise<{ path: string; reached(): Promise<number> }> {
  const folder = join(root, "slow");
  const mark = join(folder, "reached");
  await mkdir(folder);
  const script = `#!/bin/bash\ncase " $* " in *" ${command} "*) echo $$ > ${mark}.new; mv ${mark}.new ${mark}; exec sleep 600 ;; esac\nexec /usr/bin/git "$@"\n`;
  await writeFile(join(folder, "git"), script);
  await chmod(join(folder, "git"), 0o755);
  const reached = async (): Promise<number> => {
    await expect.poll(() => isThere(mark)).toBe(true);
    return Number(await readFile(mark, "utf8"));
  };
  return { path: `${folder}:${HOST_PATH}`, reached };
}

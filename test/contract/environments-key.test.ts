import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Environments } from "../../src/environments/prepare.ts";
import { SWEBENCH_VERSION } from "../../src/environments/swebench/tools.ts";
import { EnvironmentRecipe } from "../../src/tasks/task.ts";
import { type BusyRepository, busyRepository } from "../support/git-fixture.ts";
import { preparationOptions } from "../support/preparation.ts";

let root: string;
let busy: BusyRepository;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "sandlot-key-"));
  busy = await busyRepository(join(root, "busy"));
  await constants({ "some/tool": { "1.0": { python: "3.4" }, "2.0": { python: "3.5" } } });
});

afterEach(() => rm(root, { recursive: true, force: true }));

test("the exact version of the interpreter is part of the key, and that of another one is not", async () => {
  const first = await keyWith(["3.4.1", "3.5.1"]);
  expect(await keyWith(["3.4.1", "3.5.1"])).toBe(first);
  expect(await keyWith(["3.4.1", "3.5.2"])).toBe(first);
  expect(await keyWith(["3.4.2", "3.5.1"])).not.toBe(first);
  expect(await keyWith(["3.4.1", "3.5.1"], "2.0")).not.toBe(first);
});

test("a host without the interpreter says so before anything is made", async () => {
  await expect(keyWith(["3.5.1"])).rejects.toThrow(/the set-up asks for Python 3\.4, this host has .*3\.5\.1/);
});

test("a version that the constants do not know has a key: the making tells what is wrong", async () => {
  expect(await keyWith(["3.4.1"], "9.9")).toMatch(/^[0-9a-f]{64}$/);
});

/** What a server on a host with these Pythons, and one with pip, takes for the environment's key. */
async function keyWith(versions: readonly string[], version = "1.0"): Promise<string> {
  const named = await Promise.all(versions.map(installation));
  const interpreters = { versionFolders: [], named };
  const environments = new Environments({ ...preparationOptions(join(root, "state")), interpreters });
  const setup = { type: "swebench", repo: "some/tool", version } as const;
  const repository = { type: "path", path: busy.folder } as const;
  return environments.key(EnvironmentRecipe.parse({ repository, baseCommit: busy.base, setup }));
}

/** An installation prefix whose Python says that it is of that version, and can do nothing else. The same prefix for each patch release. */
async function installation(version: string): Promise<string> {
  const minor = version.split(".").slice(0, 2).join(".");
  const prefix = join(root, "pythons", minor);
  const executable = join(prefix, "bin", `python${minor}`);
  await mkdir(join(prefix, "bin"), { recursive: true });
  await writeFile(executable, `#!/bin/sh\n[ "$1" = -E ] || exit 1\necho ${version}\necho ${prefix}\n`);
  await chmod(executable, 0o755);
  return prefix;
}

/** The package of constants as it is after its installation. */
async function constants(specs: unknown): Promise<void> {
  const folder = join(root, "state/tools", `swebench-${SWEBENCH_VERSION}`, "packages/swebench/harness/constants");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "__init__.py"), `MAP_REPO_VERSION_TO_SPECS = ${JSON.stringify(specs)}\n`);
}

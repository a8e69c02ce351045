import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Environment } from "../../src/environments/environment.ts";
import { Environments } from "../../src/environments/prepare.ts";
import type { Backend, ExecResult } from "../../src/sandbox/sandbox.ts";
import { EnvironmentRecipe } from "../../src/tasks/task.ts";
import { availableVariants, newPlace, type Place } from "../support/backends.ts";
import { type BusyRepository, busyRepository } from "../support/git-fixture.ts";
import { leftovers } from "../support/leftovers.ts";
import { HOST_PATH, preparationOptions } from "../support/preparation.ts";

const isolated = (await availableVariants()).find((variant) => variant.options.type === "oci");

describe.skipIf(isolated === undefined)("set-up in a builder sandbox", () => {
  let place: Place;
  let backend: Backend;
  let environments: Environments;
  let busy: BusyRepository;

  beforeEach(async () => {
    if (isolated === undefined) return;
    place = newPlace(isolated);
    backend = await place.open();
    environments = open(place.stateDir);
    busy = await busyRepository(join(place.stateDir, "..", "busy"));
  });

  afterEach(async () => {
    expect(await backend.list()).toEqual([]);
    await backend.close();
    await expect.poll(() => leftovers(place.stateDir, place.instance)).toEqual([]);
    await place[Symbol.asyncDispose]();
  });

  const newId = (): string => `sandlot-${place.instance}-${randomBytes(16).toString("hex")}`;
  const open = (stateDir: string): Environments =>
    new Environments({ ...preparationOptions(stateDir, HOST_PATH, backend), newId });
  const recipe = (commands: readonly string[], more: object = {}): EnvironmentRecipe =>
    EnvironmentRecipe.parse({
      repository: { type: "path", path: busy.folder },
      baseCommit: busy.base,
      setup: { type: "commands", commands },
      ...more,
    });

  /** What a fresh sandbox of the environment prints. */
  async function inside(environment: Environment, script: string): Promise<string> {
    const { rootfs, layers, binds, workdir, env } = environment;
    const limits = { memoryMiB: 256, cpuMilli: 1000, pids: 128, diskMiB: 64 };
    const sandbox = await backend.create({
      id: newId(),
      rootfs,
      layers,
      binds,
      views: [],
      workdir,
      env,
      limits,
      network: "none",
    });
    try {
      return textOf(await sandbox.exec(["bash", "-c", script], { callId: "one", timeoutMs: 60_000 }));
    } finally {
      await sandbox.dispose();
    }
  }

  test("commits what it changed in tracked files as the seal, under the same id everywhere", async () => {
    const wanted = recipe(["echo changed >> README.md", "echo made > made.txt; mkdir out; echo a > 'out/b c'"]);
    const environment = await environments.prepare(wanted);
    const elsewhere = open(join(place.stateDir, "second"));
    expect((await elsewhere.prepare(wanted)).seal).toBe(environment.seal);
    expect(environment.seal).not.toBe(busy.base);
    const report = await inside(
      environment,
      "git status --porcelain; git rev-parse HEAD HEAD^; git symbolic-ref HEAD; git show --stat --format=%an; cat made.txt 'out/b c'",
    );
    expect(report).toMatch(
      new RegExp(
        `^${environment.seal}\n${busy.base}\nrefs/heads/main\nsandlot\n\n README.md \\| 1 \\+[\\s\\S]*made\na\n$`,
      ),
    );
  });

  test("starts at the base commit itself when no tracked file changed", async () => {
    const environment = await environments.prepare(recipe(["echo made > made.txt", "touch README.md"]));
    expect(environment.seal).toBe(busy.base);
    expect(await inside(environment, "git status --porcelain; git log --format=%H -1; cat made.txt")).toBe(
      `${busy.base}\nmade\n`,
    );
  });

  test("leaves no branch, remote, tag or object of its own in the repository", async () => {
    const mess = [
      "git config user.email a@example.com; git config user.name a; git checkout -q -b mine; echo x > x; git add x; git commit -qm mine",
      "git tag mine-tag; git remote add there https://example.com/x.git; git checkout -q main; echo y >> README.md; git stash -q; echo z | git hash-object -w --stdin",
    ];
    const environment = await environments.prepare(recipe(mess));
    expect(environment.seal).toBe(busy.base);
    const report =
      "git for-each-ref --format='%(refname)' | grep -v tags/; git tag; git remote; git fsck --unreachable --no-reflogs; ls .git | grep -E 'logs|_HEAD'";
    expect(await inside(environment, report)).toBe("refs/heads/main\nbase-tag\nv1\nv1-annotated\n");
  });

  test("that fails says how, with the end of its output, and leaves nothing", async () => {
    const failing = environments.prepare(recipe(["echo fine", "seq 10000; echo the reason >&2; exit 3"]));
    await expect(failing).rejects.toMatchObject({
      fault: "task",
      message: expect.stringMatching(/exit code 3[\s\S]*the reason$/),
      facts: { field: "environment.setup" },
    });
    const wanted = recipe([]);
    expect((await environments.prepare(wanted)).seal).toBe(busy.base);
  });

  test("that nobody waits for any more ends with its processes", async () => {
    const leaver = new AbortController();
    const waiting = environments.prepare(recipe(["echo begun; sleep 600"]), {
      signal: leaver.signal,
      onProgress: ({ message }) => message === "begun" && leaver.abort(new Error("left")),
    });
    await expect(waiting).rejects.toThrow("left");
    await expect.poll(() => backend.list()).toEqual([]);
  });

  test("has no network unless the recipe says so", async () => {
    const addresses =
      "ls /sys/class/net 2>/dev/null || cut -d: -f1 /proc/net/dev | tail -n +3; cat /proc/net/route | tail -n +2 > routes.txt";
    const environment = await environments.prepare(recipe([addresses]));
    expect(await inside(environment, "cat routes.txt")).toBe("");
  });

  test("finds Node where the task requires it, whatever this host has in /usr", async () => {
    const environment = await environments.prepare(recipe(["node --version > version.txt"], { requires: ["node"] }));
    expect(await inside(environment, "cat version.txt; node -p '6 * 7'")).toMatch(/^v(1[89]|[2-9]\d)\.[\d.]+\n42\n$/);
  });

  test("sees nothing of the host's environment", async () => {
    const environment = await environments.prepare(recipe([], { env: { ANSWER: "42" } }));
    const names = (await inside(environment, "env | cut -d= -f1 | sort"))
      .split("\n")
      .filter((name) => !/^(_|PWD|SHLVL|)$/.test(name));
    expect(names).toEqual(["ANSWER", "HOME", "LANG", "PATH", "TZ"]);
    await rm(join(place.stateDir, "second"), { recursive: true, force: true });
  });
});

function textOf(result: ExecResult): string {
  return Buffer.concat(result.output.map((chunk) => chunk.data)).toString("utf8");
}

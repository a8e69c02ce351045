import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Environment } from "../../src/environments/environment.ts";
import { Environments } from "../../src/environments/prepare.ts";
import type { Backend } from "../../src/sandbox/sandbox.ts";
import { EnvironmentRecipe } from "../../src/tasks/task.ts";
import { availableVariants, bash, newPlace, type Place, specIn, type Told } from "../support/backends.ts";
import { type BusyRepository, busyRepository, git } from "../support/git-fixture.ts";
import { copyPrograms, GIT_PROGRAMS, writeDockerArchive } from "../support/image.ts";
import { HOST_PATH, preparationOptions } from "../support/preparation.ts";

const variant = (await availableVariants()).find(({ options }) => options.type === "oci");

describe.skipIf(variant === undefined)("an environment in an image", () => {
  let place: Place;
  let backend: Backend;
  let folder: string;
  let busy: BusyRepository;
  let ref: string;
  let digest: string;
  let environments: Environments;

  beforeAll(async () => {
    if (variant === undefined) throw new Error("skipped without a variant");
    folder = mkdtempSync(join(tmpdir(), "sandlot-image-environments-"));
    const tree = join(folder, "tree");
    copyPrograms(tree, GIT_PROGRAMS);
    for (const name of ["tmp", "root", "etc"]) mkdirSync(join(tree, name), { recursive: true });
    busy = await busyRepository(join(tree, "testbed"));
    // As SWE-bench's own images: their HEAD is an empty commit on top of the base commit, and what set-up left lies around.
    await git(join(tree, "testbed"), "checkout", "--quiet", "--force", "-B", "trunk", busy.base);
    writeFileSync(join(tree, "testbed/run.sh"), "echo set up\n");
    await git(join(tree, "testbed"), "commit", "--quiet", "--allow-empty", "--all", "--message", "SWE-bench");
    // Packed with all that is not to be found.
    await git(join(tree, "testbed"), "repack", "-a", "-d", "-q");
    mkdirSync(join(tree, "plain"));
    writeFileSync(join(tree, "plain/file"), "no repository\n");
    const path = join(folder, "image.tar");
    digest = writeDockerArchive(path, "acme/busy:1", {
      layers: [tree],
      config: { Env: ["PATH=/usr/local/bin:/usr/bin:/bin", "FROM_IMAGE=yes"], WorkingDir: "/testbed" },
    });
    ref = `docker-archive:${path}`;
    place = newPlace(variant);
    backend = await place.open();
    const newId = () => `sandlot-${place.instance}-${randomBytes(16).toString("hex")}`;
    environments = new Environments({ ...preparationOptions(place.stateDir, HOST_PATH, backend), newId });
  });
  afterAll(async () => {
    await backend?.close();
    await place?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const recipe = (changes: object = {}): EnvironmentRecipe =>
    EnvironmentRecipe.parse({
      rootfs: { type: "image", ref },
      repository: { type: "image" },
      baseCommit: busy.base,
      ...changes,
    });

  async function within(environment: Environment, script: string): Promise<Told> {
    const { rootfs, layers, binds, workdir, env } = environment;
    const sandbox = await backend.create(specIn(place, { rootfs, layers, binds, workdir, env }));
    try {
      return await bash(sandbox, script);
    } finally {
      await sandbox.dispose();
    }
  }

  test("starts at the base commit with what set-up changed sealed on top, and holds nothing that is not its past", async () => {
    const environment = await environments.prepare(recipe());
    expect(environment).toMatchObject({
      baseCommit: busy.base,
      rootfs: { type: "image", ref, digest },
      workdir: "/testbed",
    });
    expect(environment.env).toMatchObject({ FROM_IMAGE: "yes", HOME: "/root" });
    expect(environment.seal).not.toBe(busy.base);
    const told = await within(
      environment,
      `git rev-parse HEAD HEAD~1; git symbolic-ref HEAD; git status --porcelain; git tag; cat run.sh; git remote
       for id in ${busy.future.join(" ")}; do git cat-file -e $id 2>/dev/null && echo found $id; done
       git for-each-ref --format='%(refname)' refs/heads refs/remotes refs/stash; git reflog; git fsck --unreachable --no-reflogs 2>/dev/null
       git config --get-regexp 'remote|user'; ls .git/logs .git/hooks/../FETCH_HEAD 2>/dev/null; cat untracked.txt; true`,
    );
    expect(told.stdout).toBe(
      `${environment.seal}\n${busy.base}\nrefs/heads/main\nbase-tag\nv1\nv1-annotated\necho set up\nrefs/heads/main\nleft\n`,
    );
  });

  test("with history `none` holds the base commit alone, and is at a commit that a branch of the image names", async () => {
    const environment = await environments.prepare(recipe({ history: "none", baseCommit: "refs/heads/side" }));
    const [, side] = busy.future;
    expect(environment).toMatchObject({ baseCommit: side, seal: side });
    const told = await within(environment, "git rev-list --all; git tag; ls; git log --format=%s");
    expect(told.stdout).toBe(`${side}\nREADME.md\nrun.sh\nside.txt\nuntracked.txt\nside\n`.replace("run.sh\n", ""));
  });

  test("is made once for all who ask, and again only when the image is another", async () => {
    const one = await environments.prepare(recipe());
    expect(await environments.prepare(recipe())).toEqual(one);
    expect(await environments.missingRequirements(recipe())).toEqual([]);
    expect(await environments.missingRequirements(recipe({ rootfs: { type: "image", ref: "oci:/nowhere" } }))).toEqual([
      { name: "images", message: expect.stringContaining("found nothing") },
    ]);
  });

  test("has a clone in place of what the image has there, where the recipe names one", async () => {
    const clone = join(folder, "clone");
    const first = await busyRepository(clone);
    const environment = await environments.prepare(
      recipe({
        repository: { type: "path", path: clone },
        baseCommit: first.first,
        setup: { type: "commands", commands: ['test -n "$FROM_IMAGE"'] },
      }),
    );
    const told = await within(environment, "git rev-parse HEAD; ls; git status --porcelain");
    expect(told.stdout).toBe(`${first.first}\nREADME.md\n`);
  });

  test("has a repository made of a folder that is none, where the recipe says: as it is", async () => {
    const environment = await environments.prepare(recipe({ workdir: "/plain", baseCommit: "HEAD", history: "none" }));
    const told = await within(environment, "git log --format=%s; git ls-files; git status --porcelain");
    expect(told.stdout).toBe("The image\nfile\n");
    expect((await environments.prepare(recipe({ workdir: "", baseCommit: "HEAD" }))).workdir).toBe("/testbed");
  });

  test("cannot be had without the base commit or the folder, says which, and leaves nothing", async () => {
    const absent = "1".repeat(40);
    await expect(environments.prepare(recipe({ baseCommit: absent }))).rejects.toMatchObject({
      fault: "task",
      message: expect.stringContaining(`does not have the base commit ${absent}`),
    });
    await expect(environments.prepare(recipe({ workdir: "/elsewhere", baseCommit: "HEAD" }))).rejects.toMatchObject({
      fault: "task",
      message: expect.stringContaining("no folder /elsewhere"),
    });
    expect(await backend.list()).toEqual([]);
  });

  test("keeps its image from collection", async () => {
    await environments.prepare(recipe());
    await environments.collect(2 ** 50, async () => {});
    const kept = new Environments({ ...preparationOptions(place.stateDir, HOST_PATH, backend), graceMs: -1_000 });
    const { key } = await kept.prepare(recipe());
    kept.acquire(key);
    await kept.collect(0, async () => {});
    expect((await within(await kept.prepare(recipe()), "cat run.sh")).stdout).toBe("echo set up\n");
    kept.release(key);
    expect((await kept.collect(0, async () => {})).removed).toContain(key);
    expect(execFileSync("ls", [join(place.stateDir, "images/layers")]).toString()).toBe("");
  });
});

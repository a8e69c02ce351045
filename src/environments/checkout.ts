import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { SandlotError } from "../errors.ts";
import type { EnvironmentRecipe } from "../tasks/task.ts";
import type { Git } from "./git.ts";
import { assertSealed, hostGit } from "./seal.ts";

export interface CheckoutOptions {
  readonly git: Git;
  /** A clone on this host. */
  readonly source: string;
  /** The folder that becomes the repository's work tree; it does not exist. */
  readonly target: string;
  readonly baseCommit: string;
  readonly history: EnvironmentRecipe["history"];
  readonly signal: AbortSignal;
}

/**
 * Checks a base commit out into a repository of its own, under its own id: HEAD on branch `main` at the base commit, a clean work tree, and nothing of the source that the base
 * commit does not reach: no other branch, remote, newer tag, reflog, stash, alternate, configuration. With history `past` the
 * ancestors and the tags on them stay; with `none` the base commit stands alone (a shallow repository). Large old files that a partial clone lacks may
 * be absent from the past, never from the base commit's own tree.
 */
export async function checkOut(options: CheckoutOptions): Promise<void> {
  const { git, source, target, baseCommit, signal } = options;
  await assertCommit(options);
  await mkdir(target, { recursive: true, mode: 0o755 });
  await git.run(["init", "--quiet", "--initial-branch=main", target], { signal });
  const tags = options.history === "past" ? await ancestorTags(options) : [];
  if (options.history === "past") {
    const input = [baseCommit, ...tags.map((tag) => tag.object), ""].join("\n");
    await git.copyObjects(source, target, { input, revisions: true, signal });
    await graft(target, await shallowBoundary(options));
  } else {
    await git.copyObjects(source, target, { input: await ownObjects(options), revisions: false, signal });
    await graft(target, (await isRoot(options)) ? [] : [baseCommit]);
  }
  const refs = [`create refs/heads/main ${baseCommit}`, ...tags.map((tag) => `create ${tag.name} ${tag.object}`), ""];
  await git.run(["-C", target, "update-ref", "--stdin"], { stdin: refs.join("\n"), signal });
  await git.run(["-C", target, "pack-refs", "--all"], { signal });
  await git.run(["-C", target, "read-tree", "--reset", "-u", "HEAD"], { signal });
  // Agents' commits must not start a repack of the whole history in their writable layer.
  await git.run(["-C", target, "config", "gc.auto", "0"], { signal });
  await rm(join(target, ".git", "logs"), { recursive: true, force: true });
  await assertSealed(hostGit(git, target, signal), baseCommit);
}

async function assertCommit({ git, source, baseCommit, signal }: CheckoutOptions): Promise<void> {
  const found = await git.try(["-C", source, "cat-file", "-e", `${baseCommit}^{commit}`], { signal });
  if (found.exitCode !== 0) {
    throw new SandlotError(
      "task",
      `the clone at ${source} does not have the base commit ${baseCommit}: fetch it there`,
      {
        field: "environment.baseCommit",
        knob: "repositories",
      },
    );
  }
  const missing = await git.try(
    ["-C", source, "rev-list", "--objects", "--no-walk", "--missing=print", baseCommit, "--"],
    { signal },
  );
  const absent = missing.stdout.split("\n").filter((line) => line.startsWith("?"));
  if (missing.exitCode === 0 && absent.length === 0) return;
  throw new SandlotError(
    "task",
    `the clone at ${source} is partial: ${absent.length || "some"} files of the base commit ${baseCommit} are not in it. Provide a whole clone (git clone without --filter)`,
    { field: "environment.repository", knob: "repositories" },
  );
}

interface Tag {
  readonly name: string;
  readonly object: string;
}

async function ancestorTags({ git, source, baseCommit, signal }: CheckoutOptions): Promise<readonly Tag[]> {
  const format = "--format=%(objectname) %(refname)";
  const text = await git.run(["-C", source, "for-each-ref", `--merged=${baseCommit}`, format, "refs/tags"], { signal });
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => ({ object: line.slice(0, line.indexOf(" ")), name: line.slice(line.indexOf(" ") + 1) }));
}

/** The commit and what its own tree holds. */
async function ownObjects({ git, source, baseCommit, signal }: CheckoutOptions): Promise<string> {
  return git.run(["-C", source, "rev-list", "--objects", "--no-walk", "--no-object-names", baseCommit, "--"], {
    signal,
  });
}

async function isRoot({ git, source, baseCommit, signal }: CheckoutOptions): Promise<boolean> {
  const commit = await git.run(["-C", source, "cat-file", "commit", baseCommit], { signal });
  return !/^parent /m.test(commit.split("\n\n")[0] ?? "");
}

/** Where a shallow source ends, as far as the base commit reaches. */
async function shallowBoundary({ git, source, baseCommit, signal }: CheckoutOptions): Promise<readonly string[]> {
  const folder = (await git.run(["-C", source, "rev-parse", "--git-common-dir"], { signal })).trim();
  const text = await readFile(join(isAbsolute(folder) ? folder : join(source, folder), "shallow"), "utf8").catch(
    () => "",
  );
  const grafts = new Set(text.split("\n").filter((line) => line !== ""));
  if (grafts.size === 0) return [];
  const reached = await git.run(["-C", source, "rev-list", baseCommit, "--"], { signal });
  return reached.split("\n").filter((commit) => grafts.has(commit));
}

async function graft(target: string, commits: readonly string[]): Promise<void> {
  if (commits.length > 0) await writeFile(join(target, ".git", "shallow"), `${commits.join("\n")}\n`);
}

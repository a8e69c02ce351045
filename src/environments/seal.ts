import { SandlotError } from "../errors.ts";
import { tail } from "../host-command.ts";
import type { Git } from "./git.ts";

/** A way to run git (and, for the assertion, a shell) in a repository: on the host, or inside a builder sandbox. */
export interface Repo {
  git(
    args: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): Promise<{ exitCode: number; stdout: string; stderr: string }>;
  sh(script: string, args: readonly string[]): Promise<{ exitCode: number; stdout: string; stderr: string }>;
  /** Appends lines to `.git/info/exclude`. */
  exclude(lines: readonly string[]): Promise<void>;
}

/** What the seal stands on. */
export interface Sealing {
  readonly baseCommit: string;
  /** Its objects are packed by somebody else: what is not reached can lie in the same pack. */
  readonly foreign: boolean;
}

/**
 * Commits what set-up changed in tracked files on top of the base commit, as branch `main`, under an id that only the content
 * decides; files that set-up made and the ignore rules do not cover are added to the repository's own excludes. Returns the
 * seal: the base commit itself when no tracked file changed. Asserts what `assertSealed` asserts.
 */
export async function seal(repo: Repo, { baseCommit, foreign }: Sealing): Promise<string> {
  const git = async (args: readonly string[], env?: Readonly<Record<string, string>>): Promise<string> => {
    const outcome = await repo.git(args, env);
    if (outcome.exitCode === 0) return outcome.stdout.trimEnd();
    throw new SandlotError(
      "task",
      `sealing the environment failed at git ${args[0]}: ${tail(outcome.stderr || outcome.stdout)}`,
    );
  };
  await git(["symbolic-ref", "HEAD", "refs/heads/main"]);
  await git(["add", "--update", "--", ":/"]);
  const tree = await git(["write-tree"]);
  const base = await git(["rev-parse", `${baseCommit}^{tree}`]);
  const commit = tree === base ? baseCommit : await commitTree(git, tree, baseCommit);
  await git(["update-ref", "--no-deref", "refs/heads/main", commit]);
  await forget(repo, foreign);
  await repo.exclude(untracked(await git(["status", "--porcelain", "-z", "--untracked-files=normal"])));
  await assertSealed(repo, commit);
  return commit;
}

/**
 * Throws unless the repository holds the seal, its ancestors, tags on these, and nothing else: HEAD on `main` at the seal, a clean status, no other ref, remote, reflog, alternate,
 * FETCH_HEAD or ORIG_HEAD, and no object that HEAD and the tags do not reach.
 */
export async function assertSealed(repo: Repo, sealed: string): Promise<void> {
  const outcome = await repo.sh(ASSERT, [sealed]);
  if (outcome.exitCode === 0) return;
  throw new SandlotError("task", `the prepared repository is not sealed: ${tail(outcome.stdout + outcome.stderr)}`, {
    field: "environment",
  });
}

export function hostGit(git: Git, folder: string, signal: AbortSignal): Repo {
  return {
    git: (args, env) => git.try(args, { cwd: folder, signal, ...(env ? { env } : {}) }),
    sh: (script, args) => git.shell(script, args, { cwd: folder, signal }),
    exclude: async () => {},
  };
}

type Run = (args: readonly string[], env?: Readonly<Record<string, string>>) => Promise<string>;

async function commitTree(git: Run, tree: string, parent: string): Promise<string> {
  const date = await git(["show", "--no-patch", "--format=%cI", parent]);
  const who = { NAME: "sandlot", EMAIL: "sandlot@localhost", DATE: date };
  const env = Object.entries(who).flatMap(([key, value]) => [
    [`GIT_AUTHOR_${key}`, value],
    [`GIT_COMMITTER_${key}`, value],
  ]);
  return git(["commit-tree", tree, "-p", parent, "-m", "Set up the environment"], Object.fromEntries(env));
}

/** What set-up commands may have left besides the work tree: branches, remotes, logs, loose objects. */
async function forget(repo: Repo, foreign: boolean): Promise<void> {
  await repo.sh(FORGET, []);
  if (foreign) await repo.sh(REPACK, []);
}

function untracked(status: string): readonly string[] {
  const paths = status.split("\0").filter((entry) => entry.startsWith("?? "));
  return paths.map((entry) => `/${entry.slice(3).replace(/[\\*?[\]#! ]/g, "\\$&")}`);
}

const FORGET = `
git for-each-ref --format='%(refname)' | grep -v -e '^refs/heads/main$' -e '^refs/tags/' | while read -r ref; do git update-ref -d "$ref"; done
for tag in $(git tag --no-merged HEAD); do git tag -d "$tag" >/dev/null; done
for remote in $(git remote); do git remote remove "$remote"; done
rm -rf .git/logs .git/FETCH_HEAD .git/ORIG_HEAD .git/MERGE_HEAD .git/objects/info/alternates
git prune --expire=now
true
`;

const REPACK = `
git repack -a -d -q
git prune --expire=now
git pack-refs --all
true
`;

const ASSERT = `
bad() { echo "$1"; exit 1; }
[ "$(git rev-parse HEAD)" = "$1" ] || bad "HEAD is not the seal"
[ "$(git symbolic-ref HEAD)" = refs/heads/main ] || bad "HEAD is not on main"
status=$(git status --porcelain 2>&1) || bad "$status"
[ -z "$status" ] || bad "the work tree is not clean: $status"
refs=$(git for-each-ref --format='%(refname)' | grep -v -e '^refs/heads/main$' -e '^refs/tags/')
[ -z "$refs" ] || bad "other refs: $refs"
tags=$(git for-each-ref --no-merged=HEAD refs/tags)
[ -z "$tags" ] || bad "tags that are no ancestors: $tags"
[ -z "$(git remote)" ] || bad "a remote"
for left in logs FETCH_HEAD ORIG_HEAD MERGE_HEAD refs/stash objects/info/alternates worktrees modules; do
  [ ! -e ".git/$left" ] || bad ".git/$left"
done
git rev-list --objects --all --missing=allow-any --no-object-names > .git/sandlot-reached || bad "the history cannot be walked"
extra=$({
  cat .git/sandlot-reached .git/sandlot-reached
  git cat-file --batch-all-objects --unordered --batch-check='%(objectname)'
} | LC_ALL=C sort | uniq -u | head -n 3)
rm -f .git/sandlot-reached
[ -z "$extra" ] || bad "objects that nothing reaches: $extra"
`;

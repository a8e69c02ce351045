import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The test machine's git with fixed names and dates and nothing of its user's configuration. */
export async function git(cwd: string, ...args: readonly string[]): Promise<string> {
  const who = { NAME: "A", EMAIL: "a@example.com", DATE: "2020-01-02T03:04:05Z" };
  const identity = Object.entries(who).flatMap(([key, value]) => [
    [`GIT_AUTHOR_${key}`, value],
    [`GIT_COMMITTER_${key}`, value],
  ]);
  const env = {
    PATH: "/usr/local/bin:/usr/bin:/bin",
    HOME: "/nonexistent",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    ...Object.fromEntries(identity),
  };
  const { stdout } = await run("git", [...args], { cwd, env, maxBuffer: 64 * 1024 * 1024 });
  return stdout.trim();
}

/** Writes files and commits them; returns the commit's id. */
export async function commit(
  folder: string,
  files: Readonly<Record<string, string>>,
  subject: string,
): Promise<string> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  await git(folder, "add", "--all");
  await git(folder, "commit", "--quiet", "--message", subject);
  return git(folder, "rev-parse", "HEAD");
}

export interface BusyRepository {
  readonly folder: string;
  readonly first: string;
  readonly base: string;
  /** Commits after the base, or beside it. */
  readonly future: readonly string[];
}

/** A repository with everything that must not come along: later commits, side branches, tags on them, a stash, a remote, reflogs, a hook, an untracked file. */
export async function busyRepository(folder: string): Promise<BusyRepository> {
  await mkdir(folder, { recursive: true });
  await git(folder, "init", "--quiet", "--initial-branch=trunk");
  const first = await commit(folder, { "README.md": "one\n", ".gitignore": "*.log\n" }, "first");
  await git(folder, "tag", "v1");
  await git(folder, "tag", "--annotate", "v1-annotated", "--message", "one");
  const base = await commit(
    folder,
    { "src/add.py": "def add(a, b):\n    return a - b\n", "run.sh": "echo hi\n" },
    "base",
  );
  await git(folder, "tag", "base-tag");
  const later = await commit(folder, { "src/add.py": "def add(a, b):\n    return a + b\n" }, "the fix");
  await git(folder, "tag", "--annotate", "v2", "--message", "two");
  await git(folder, "checkout", "--quiet", "-b", "side", first);
  const side = await commit(folder, { "side.txt": "side\n" }, "side");
  await git(folder, "tag", "side-tag");
  await git(folder, "update-ref", "refs/remotes/origin/main", later);
  await git(folder, "remote", "add", "origin", "https://example.com/secret.git");
  await writeFile(join(folder, "README.md"), "stashed secret\n");
  await git(folder, "stash");
  const stash = await git(folder, "rev-parse", "stash@{0}");
  await git(folder, "config", "user.secret", "x");
  await writeFile(join(folder, ".git", "hooks", "post-checkout"), `#!/bin/sh\ntouch '${folder}.hook-ran'\n`, {
    mode: 0o755,
  });
  await writeFile(join(folder, "untracked.txt"), "left\n");
  return { folder, first, base, future: [later, side, stash] };
}

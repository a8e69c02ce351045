import { join } from "node:path";
import { SandlotError } from "../errors.ts";
import { tail } from "../host-command.ts";
import type { Bind } from "../sandbox/sandbox.ts";
import { type Builder, build, type Watch } from "./builder.ts";
import { type Built, baseEnv, type Means, runSetup, type Site, sealIn } from "./layers.ts";
import type { Recipe } from "./recipe.ts";

/** The environment of a repository that lies in the root file system, at the workdir: taken over as it is, cut down to the base commit and its past, and sealed. */
export async function makeInImage(means: Means, recipe: Recipe, site: Site, watch: Watch): Promise<Built> {
  const { setup, rootfs, workdir } = recipe;
  if (setup.type !== "commands") throw new Error(`set-up ${setup.type} has no image`);
  const binds = site.toolchains.flatMap((one): readonly Bind[] => (one.bind ? [one.bind] : []));
  const env = baseEnv(recipe);
  const target = join(site.folder, "set-up");
  const network = setup.network ? "host" : "none";
  let baseCommit = "";
  let sealed = "";
  await build(means.workshop, { rootfs, layers: [], workdir, network, target, binds, env }, watch, async (builder) => {
    watch.report({ stage: "checkout", message: `taking over the repository at ${workdir}` });
    baseCommit = await takeOver(builder, recipe);
    await runSetup(builder, setup.commands, watch);
    sealed = await sealIn(builder, { baseCommit, foreign: true }, watch);
  });
  return { layers: [target], binds, env, baseCommit, seal: sealed };
}

/**
 * Puts HEAD and the work tree at the base commit, and takes away what of the image's repository is no part of its past but refs and objects, which sealing does. Its id; fault `task` when it is not there.
 *
 * The work tree stays as it is where HEAD is the base commit, or the one commit that SWE-bench's own images have on top of it (`setup_repo.sh` of the harness: `git commit --allow-empty -am SWE-bench`).
 */
async function takeOver(builder: Builder, { baseCommit, history, workdir }: Recipe): Promise<string> {
  const repo = builder.repo();
  const git = await builder.exec(["git", "--version"], {});
  if (git.exitCode !== 0) throw broken("git was not found in it, which its repository, and sealing, need");
  const taken = await repo.sh(TAKE_OVER, [baseCommit, history, workdir]);
  const said = taken.stdout.trim();
  if (taken.exitCode !== 0) throw broken(tail(`${said}\n${taken.stderr}`.trim(), 1024));
  const found = said.split("\n").at(-1) ?? "";
  if (/^[0-9a-f]{40}$/.test(found)) return found;
  throw broken(`the base commit is ${JSON.stringify(found)}`);
}

function broken(what: string): SandlotError {
  return new SandlotError("task", `the repository in the image cannot be used: ${what}`, {
    field: "environment.repository",
  });
}

const TAKE_OVER = `
bad() { echo "$1"; exit 1; }
wanted=$1 history=$2
cd "$3" 2>/dev/null || bad "it has no folder $3"
export GIT_AUTHOR_NAME=sandlot GIT_AUTHOR_EMAIL=sandlot@localhost GIT_COMMITTER_NAME=sandlot GIT_COMMITTER_EMAIL=sandlot@localhost
if [ ! -e .git ] && [ "$wanted" = HEAD ] && ! git rev-parse --git-dir >/dev/null 2>&1; then
  export GIT_AUTHOR_DATE='2000-01-01T00:00:00Z' GIT_COMMITTER_DATE='2000-01-01T00:00:00Z'
  git init -q . && git add --all --force . && git commit -q --allow-empty -m 'The image' || bad "a repository could not be made at $3"
fi
[ -d .git ] && [ ! -L .git ] || bad "there is no repository at $3: expected the folder .git there"
[ "$(git rev-parse --show-toplevel 2>&1)" = "$(pwd -P)" ] || bad "the repository at $3 has its work tree elsewhere"
base=
for name in "$wanted" "$(printf %s "$wanted" | sed 's|^refs/heads/|refs/remotes/origin/|')"; do
  [ -n "$base" ] || base=$(git rev-parse --verify --quiet "$name^{commit}")
done
[ -n "$base" ] || bad "it does not have the base commit $wanted; its HEAD is $(git rev-parse --short HEAD 2>&1)"
head=$(git rev-parse HEAD 2>/dev/null)
if [ "$head" != "$base" ]; then
  if [ "$(git rev-parse --verify --quiet 'HEAD^@')" != "$base" ] || [ "$(git log -1 --format=%s)" != SWE-bench ]; then
    git checkout --quiet --force --detach "$base" || bad "the base commit $base cannot be checked out"
  fi
fi
find . -mindepth 2 -name .git -type f -prune -exec sh -c 'for link; do case $(head -c 8 "$link") in "gitdir: ") rm -f "$link";; esac; done' sh {} +
rm -rf .git/worktrees .git/modules .git/rr-cache .git/lost-found .git/svn .git/sequencer .git/rebase-merge .git/rebase-apply
rm -f .git/*_HEAD .git/objects/info/commit-graph .git/objects/pack/multi-pack-index .git/objects/pack/*.keep
rm -rf .git/objects/info/commit-graphs
for key in $(git config --local --name-only --list 2>/dev/null | grep -E '^(remote|branch|url|http|https|credential|include|includeif|submodule|user)\\.' | sort -u); do
  git config --local --unset-all "$key"
done
git config --local gc.auto 0
if [ "$history" = none ]; then
  for tag in $(git tag); do git tag -d "$tag" >/dev/null; done
  if git rev-parse --verify --quiet "$base^" >/dev/null; then echo "$base" > .git/shallow; fi
fi
echo "$base"
`;

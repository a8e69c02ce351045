import { createReadStream, realpathSync } from "node:fs";
import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { SandlotError } from "../errors.ts";
import type { EnvironmentRecipe } from "../tasks/task.ts";
import type { Digests } from "./digests.ts";
import type { Git } from "./git.ts";
import type { Wanted } from "./wanted.ts";

/** A repository that lies on this host. */
export type Repository = Exclude<EnvironmentRecipe["repository"], { type: "image" }>;

/** Whether it is looked for on this host at all. */
export function isHere(repository: Wanted["repository"]): repository is Repository {
  return repository.type !== "image" && repository.type !== "none";
}

/** Where a recipe's history really lies on this host. */
export type Source =
  | { readonly type: "stream"; readonly path: string }
  | { readonly type: "clone"; readonly path: string };

/** Finds the repository, or says how to provide it. `folders` are the configured folders of clones. */
export async function findRepository(repository: Repository, folders: readonly string[]): Promise<Source> {
  if (repository.type === "fast-export") {
    if (await isThere(repository.path)) return { type: "stream", path: repository.path };
    throw absent(`expected a git fast-export stream at ${repository.path}, found no such file`);
  }
  if (repository.type === "path") {
    if (await isThere(repository.path)) return { type: "clone", path: repository.path };
    throw absent(`expected a clone at ${repository.path}, found no such folder`);
  }
  const wanted = cloneNames(repository.name);
  for (const folder of folders) {
    for (const name of wanted) {
      const path = join(folder, name);
      if (await isThere(path)) return { type: "clone", path };
    }
  }
  const looked = folders.length === 0 ? "no folder of clones is configured" : `looked in ${folders.join(", ")}`;
  throw absent(
    `no clone of ${repository.name} on this host: ${looked}. Provide one as <folder>/${wanted[0]}, for example with git clone --bare`,
  );
}

/** What of the repository decides the content, besides the base commit. */
export async function identifyRepository(repository: Wanted["repository"], digests: Digests): Promise<string> {
  if (!isHere(repository)) return repository.type;
  if (repository.type === "name") return `name ${repository.name}`;
  if (repository.type === "path") return `path ${realPath(repository.path)}`;
  return `stream ${(await digests.of(repository.path)) ?? "absent"}`;
}

/** Turns a source into a clone that objects can be copied from: a stream is imported into `scratch`. */
export async function openSource(source: Source, scratch: string, git: Git, signal: AbortSignal): Promise<string> {
  if (source.type === "clone") {
    const found = await git.try(["-C", source.path, "rev-parse", "--git-dir"], { signal });
    if (found.exitCode === 0) return source.path;
    throw absent(`${source.path} is no git repository`);
  }
  await git.run(["init", "--quiet", "--bare", scratch], { signal });
  const imported = await git.try(["-C", scratch, "fast-import", "--quiet", "--force"], {
    stdin: createReadStream(source.path),
    signal,
  });
  if (imported.exitCode === 0) return scratch;
  throw absent(`${source.path} is no git fast-export stream: ${imported.stderr.trim().slice(0, 500)}`);
}

function cloneNames(name: string): readonly [string, ...string[]] {
  const flat = name.replace("/", "__");
  return [`${flat}.git`, flat];
}

function absent(message: string): SandlotError {
  return new SandlotError("task", message, { field: "environment.repository", knob: "repositories" });
}

function realPath(path: string): string {
  try {
    return realpathSync.native(path);
  } catch {
    return path;
  }
}

async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

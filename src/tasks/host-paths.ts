import { isAbsolute, relative } from "node:path";
import type { EnvironmentRecipe, Task } from "./task.ts";

/** The paths of this host that a task names, but for those within its set's harness, which the operator named. */
export function hostPaths({ environment, grader }: Task, harness: string | undefined): readonly string[] {
  const files = [...grader.files, ...(grader.reading?.files ?? [])];
  const named = [
    ...pathsOf(environment),
    ...(grader.environment ? pathsOf(grader.environment) : []),
    ...files.flatMap((file) => ("from" in file ? [file.from] : [])),
  ];
  return named.filter((path) => harness === undefined || !isWithin(path, harness));
}

function pathsOf({ repository, rootfs }: EnvironmentRecipe): string[] {
  const paths = [...("path" in repository ? [repository.path] : []), ...("path" in rootfs ? [rootfs.path] : [])];
  if (rootfs.type !== "image") return paths;
  const image = /^(?:docker-archive|oci):/.test(rootfs.ref) ? [rootfs.ref] : [];
  return [...paths, ...image, ...(rootfs.context === "" ? [] : [rootfs.context])];
}

function isWithin(path: string, folder: string): boolean {
  const inner = relative(folder, path);
  return inner === "" || !(inner.startsWith("..") || isAbsolute(inner));
}

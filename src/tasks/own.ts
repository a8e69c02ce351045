import { resolve } from "node:path";
import { check } from "../problem.ts";
import type { RowOrigin, RowReader } from "./reader.ts";
import { type EnvironmentRecipe, type HiddenFile, Task } from "./task.ts";

/** Rows of our own schema. `source` may be left out. */
export const own: RowReader = {
  family: "sandlot",
  claims: (row) => !("folder" in row || "org" in row) && ("grader" in row || "instruction" in row || "id" in row),
  read(row, origin) {
    const { dataset, revision, split } = origin;
    const read = check(Task, "source" in row ? row : { ...row, source: { dataset, revision, split } });
    return read.ok ? { ok: true, value: withAbsolutePaths(read.value, origin) } : read;
  },
};

function withAbsolutePaths(task: Task, { folder }: RowOrigin): Task {
  const { environment, reading, files, ...grader } = task.grader;
  return {
    ...task,
    environment: settled(task.environment, folder),
    grader: {
      ...grader,
      files: placed(files, folder),
      ...(reading && { reading: { ...reading, files: placed(reading.files, folder) } }),
      ...(environment && { environment: settled(environment, folder) }),
    },
  };
}

function settled(environment: EnvironmentRecipe, folder: string): EnvironmentRecipe {
  const { repository, rootfs } = environment;
  return {
    ...environment,
    repository: "path" in repository ? { ...repository, path: resolve(folder, repository.path) } : repository,
    rootfs: "path" in rootfs ? { ...rootfs, path: resolve(folder, rootfs.path) } : rootfs,
  };
}

function placed(files: readonly HiddenFile[], folder: string): HiddenFile[] {
  return files.map((file) => ("from" in file ? { ...file, from: resolve(folder, file.from) } : file));
}

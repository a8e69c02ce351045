import { resolve } from "node:path";
import { check } from "../problem.ts";
import type { RowOrigin, RowReader } from "./reader.ts";
import { Task } from "./task.ts";

/** Rows of our own schema. `source` may be left out. */
export const own: RowReader = {
  claims: () => true,
  read(row, origin) {
    const { dataset, revision, split } = origin;
    const read = check(Task, "source" in row ? row : { ...row, source: { dataset, revision, split } });
    return read.ok ? { ok: true, value: withAbsolutePaths(read.value, origin) } : read;
  },
};

function withAbsolutePaths(task: Task, { folder }: RowOrigin): Task {
  const { repository, rootfs } = task.environment;
  return {
    ...task,
    environment: {
      ...task.environment,
      repository: "path" in repository ? { ...repository, path: resolve(folder, repository.path) } : repository,
      rootfs: "path" in rootfs ? { ...rootfs, path: resolve(folder, rootfs.path) } : rootfs,
    },
  };
}

import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { parse } from "smol-toml";
import { SandlotError } from "../../errors.ts";
import type { Read } from "../../problem.ts";
import type { Source, SourceRow } from "./source.ts";

/** A folder with a `task.toml`, or a folder of such folders: one row each, of what the reader of Harbor's tasks looks at. */
export function harborSource(path: string): Source {
  const folder = resolve(path);
  return {
    name: path,
    origin: { folder, dataset: basename(folder), revision: "", split: "" },
    family: "harbor",
    rows: () => rowsOf(folder, path),
  };
}

/** The files by which a task's environment and verifier are told. */
const LOOKED_FOR = [
  "environment/Dockerfile",
  "environment/docker-compose.yaml",
  "tests/test.sh",
  "tests/test.bat",
  "tests/Dockerfile",
];

async function* rowsOf(folder: string, name: string): AsyncGenerator<SourceRow> {
  if (await isFile(join(folder, "task.toml"))) {
    yield { place: `${name}/task.toml`, row: await rowOf(folder) };
    return;
  }
  const entries = await readdir(folder, { withFileTypes: true });
  const inner = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  let found = 0;
  for (const one of inner.sort()) {
    if (!(await isFile(join(folder, one, "task.toml")))) continue;
    found += 1;
    yield { place: `${name}/${one}/task.toml`, row: await rowOf(join(folder, one)) };
  }
  if (found > 0) return;
  const message = `tasks: expected a folder with a task.toml, or with folders that have one, got ${JSON.stringify(name)}`;
  throw new SandlotError("invalid", message, { field: "tasks" });
}

async function rowOf(folder: string): Promise<Read<unknown>> {
  try {
    const config = parse(await readFile(join(folder, "task.toml"), "utf8"));
    const instruction = await readFile(join(folder, "instruction.md"), "utf8").catch(() => undefined);
    const files: string[] = [];
    for (const file of LOOKED_FOR) if (await isFile(join(folder, file))) files.push(file);
    return { ok: true, value: { id: basename(folder), folder, files, instruction, ...config } };
  } catch (error) {
    const [reason] = (error instanceof Error ? error.message : String(error)).split("\n");
    return { ok: false, problems: [`(row): expected TOML, got an error: ${reason}`] };
  }
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";

/** Logs of real evaluations, the rows they belong to, and what the official code made of them: third-party data that need not be here. */

const DATA = process.env["SANDLOT_DATA"] ?? resolve(import.meta.dirname, "../../../../shared/data");

export const hasRealData = existsSync(join(DATA, "grading/runs"));
if (!hasRealData) console.warn(`parity on real logs is skipped: no ${DATA}/grading/runs (set SANDLOT_DATA)`);

export type Row = Readonly<Record<string, unknown>> & { readonly instance_id: string };

export interface Run {
  readonly name: string;
  readonly row: Row;
}

export function realRuns(): readonly Run[] {
  if (!hasRealData) return [];
  const rows = readRows();
  const folder = join(DATA, "grading/runs");
  return readdirSync(folder).flatMap((instance) => {
    const row = rows.get(instance);
    if (row === undefined) throw new Error(`no official row for ${instance}`);
    return readdirSync(join(folder, instance)).map((outcome) => ({ name: `${instance}/${outcome}`, row }));
  });
}

export function fileOf({ name }: Run, file: string): Buffer {
  return readFileSync(join(DATA, "grading/runs", name, file));
}

/** Every real log (`log` is its path) or edge case (`log` is its text) with what the Python parsers of a release make of it. */
export interface Crossing {
  readonly harness: string;
  readonly case?: string;
  readonly log: string;
  readonly parsers: Readonly<Record<string, unknown>>;
}

export function crossings(kind: "cross_parser" | "synthetic_edge", harness: string): readonly Crossing[] {
  if (!hasRealData) return [];
  const lines = readFileSync(join(DATA, `grading/${kind}_expected.jsonl`), "utf8")
    .trim()
    .split("\n");
  return lines.map((line): Crossing => JSON.parse(line)).filter((crossing) => crossing.harness === harness);
}

export function logOfCrossing({ log }: Crossing): Buffer {
  return readFileSync(join(DATA, "grading", log));
}

function readRows(): ReadonlyMap<string, Row> {
  const files = readdirSync(join(DATA, "swebench")).filter((name) => name.endsWith(".v5.jsonl.gz"));
  const rows = files.flatMap((name) =>
    gunzipSync(readFileSync(join(DATA, "swebench", name)))
      .toString()
      .trim()
      .split("\n")
      .map((line): Row => JSON.parse(line)),
  );
  return new Map(rows.map((row) => [row.instance_id, row]));
}

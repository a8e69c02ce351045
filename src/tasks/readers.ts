import { type Read, show } from "../problem.ts";
import { harbor } from "./families/harbor.ts";
import { multiSweBench } from "./families/multi-swe-bench.ts";
import { r2eGym } from "./families/r2e-gym.ts";
import { sweBench } from "./families/swe-bench.ts";
import { sweBenchLive } from "./families/swe-bench-live.ts";
import { sweBenchPro } from "./families/swe-bench-pro.ts";
import { sweGym } from "./families/swe-gym.ts";
import { sweRebench } from "./families/swe-rebench.ts";
import { sweRebenchV2 } from "./families/swe-rebench-v2.ts";
import { sweSmith } from "./families/swe-smith.ts";
import { own } from "./own.ts";
import type { Family, RowOrigin, RowReader } from "./reader.ts";
import type { Task } from "./task.ts";

const READERS: readonly RowReader[] = [
  own,
  sweBench,
  sweSmith,
  r2eGym,
  sweGym,
  sweRebench,
  sweRebenchV2,
  sweBenchLive,
  sweBenchPro,
  multiSweBench,
  harbor,
];

/** The task of a row, or every problem that it has. `family`: as the task set says; undefined: told by the columns. */
export function readRow(row: unknown, origin: RowOrigin, family?: Family): Read<Task> {
  if (typeof row !== "object" || row === null || Array.isArray(row)) {
    return { ok: false, problems: [`(row): expected an object, got ${show(row)}`] };
  }
  const reader = readerOf(row, family);
  if (typeof reader === "string") return { ok: false, problems: [`(row): ${reader}`] };
  if (origin.rule === "swebench@4.1.0" && reader.family !== "swe-bench") {
    return {
      ok: false,
      problems: [`rule: expected none of its own for a row of ${reader.family}, got ${origin.rule}`],
    };
  }
  return reader.read(row, origin);
}

/** Why there is none, where that is not one. */
function readerOf(row: object, family: Family | undefined): RowReader | string {
  const claiming = READERS.filter((one) => (family === undefined ? one.claims(row) : one.family === family));
  const [only, ...others] = claiming;
  if (only !== undefined && others.length === 0) return only;
  const columns = Object.keys(row).slice(0, 40).join(", ") || "none";
  const knob = "name the family of the set (--family, or family in the configuration)";
  if (only === undefined) return `expected the columns of a known family, got ${columns}: ${knob}`;
  const names = claiming.map((one) => one.family).join(" and ");
  return `expected the columns of one family, got those of ${names} (${columns}): ${knob}`;
}

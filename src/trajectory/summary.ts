import { pathToFileURL } from "node:url";
import { promptOf } from "../tasks/prompt.ts";
import { schemasOf } from "../tools/table.ts";
import type { Life } from "./life.ts";
import type { Created, Ended } from "./lines.ts";
import type { State, Summary, TrajectoryGrade } from "./rollouts.ts";

/** A live trajectory as clients see it; `full` adds prompt and tools. */
export function summarise(
  life: Pick<Life, "ledger" | "meter" | "task">,
  { state, leaseUntil, full, path }: { state: State; leaseUntil: Date; full: boolean; path: string },
): Summary {
  const { created, lastStep, final, ended } = life.ledger;
  return {
    ...base(created, path),
    state,
    ...(ended ? { ending: ended.ending } : final ? { ending: "SUBMITTED" as const } : {}),
    messages: full && life.task && !created.call.bare ? promptOf(life.task, created.workdir) : [],
    tools: full ? schemasOf(created.tools) : [],
    lastStep,
    harnessCalls: life.ledger.harnessCalls,
    ...(final ? { grade: { ...final.grade, submitted: final.submitted } } : {}),
    ...(ended ? {} : { leaseUntil }),
    left: life.meter.left(),
  };
}

/** An ended trajectory, known by the first and the last line of its journal. */
export function summariseEnded(created: Created, ended: Ended, path: string): Summary {
  const { limits } = created;
  return {
    ...base(created, path),
    state: "ENDED",
    ending: ended.ending,
    messages: [],
    tools: [],
    lastStep: ended.lastStep,
    harnessCalls: ended.harnessCalls ?? 0,
    ...(ended.grade ? { grade: ended.grade } : {}),
    left: {
      steps: Math.max(0, limits.maxSteps - ended.lastStep),
      turns: Math.max(0, limits.maxTurns - ended.turns),
      wallMs: Math.max(0, limits.wallMs - ended.wallUsedMs),
    },
  };
}

/** A grade without what can be large: patch, names of hidden tests, log. The journal has the whole. */
export function slimGrade(grade: TrajectoryGrade): TrajectoryGrade {
  const none = { success: [], failure: [] };
  return { ...grade, patchBase64: "", hidden: { failToPass: none, passToPass: none, log: "" } };
}

function base(created: Created, path: string) {
  const { call, id, limits, environment, timings, at } = created;
  return {
    id,
    taskId: call.taskId,
    attemptId: call.attemptId,
    pool: call.pool,
    ...(call.group ? { group: call.group } : {}),
    labels: call.labels,
    limits,
    enforced: created.enforced,
    createdAt: new Date(at),
    timings,
    environmentKey: environment.key,
    recordUri: pathToFileURL(path).href,
    workdir: created.workdir,
    bare: call.bare !== undefined,
  };
}

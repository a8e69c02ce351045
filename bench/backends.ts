import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Validity } from "../src/gen/sandlot/v1/grade_pb.ts";
import { specIn } from "../test/support/backends.ts";
import { Subject } from "../test/support/subject.ts";
import { VARIANTS, type Variant } from "../test/support/variants.ts";
import { compare, type Row, timed } from "./measure.ts";
import { OurServer } from "./ours.ts";
import { buildRoot } from "./root.ts";
import { settingsOf } from "./settings.ts";

const ROUNDS = 5;
const EXECUTES = 20;
const FILE_BYTES = 1_048_576;
const GROUPS = 16;
const MEMBERS = 8;
const STEPS = 4;
/** So many reasons of lost rewards are said. */
const SAID = 3;

type Say = (line: string) => void;
type Timings = Record<"create" | "execute" | "transfer" | "release", number[]>;

/** What a sandbox costs on each backend that can be had here, as ratios to oci in the same run, and one step of GRPO on each. Never anything hostile: one of them isolates nothing. */
export async function benchBackends(say: Say, only: readonly string[]): Promise<Row[]> {
  const subjects = await opened(say, only);
  try {
    const timings = new Map<Subject, Timings>(
      subjects.map((subject) => [subject, { create: [], execute: [], transfer: [], release: [] }]),
    );
    for (let round = 0; round < ROUNDS; round++) {
      say(`round ${round + 1} of ${ROUNDS}`);
      for (const [subject, into] of timings) await oneLife(subject, into);
    }
    const rows = [...lives(timings), ...(await steps(subjects, say))];
    for (const { variant } of subjects) if (variant.emulated) say(`${peerName(variant)}: ${variant.emulated}`);
    return rows;
  } finally {
    for (const subject of subjects) await subject[Symbol.asyncDispose]();
  }
}

/** The first one is what the others are compared with. */
async function opened(say: Say, names: readonly string[]): Promise<Subject[]> {
  const subjects: Subject[] = [];
  const wanted = ({ backend }: Variant, at: number): boolean =>
    at === 0 || names.length === 0 || names.includes(backend);
  for (const variant of VARIANTS.filter(({ only }) => only === undefined).filter(wanted)) {
    await Subject.open(variant).then(
      (subject) => subjects.push(subject),
      (error: unknown) => say(`left out: ${variant.name}: ${error instanceof Error ? error.message : String(error)}`),
    );
  }
  return subjects;
}

async function oneLife({ backend, place }: Subject, into: Timings): Promise<void> {
  const { ms, value: sandbox } = await timed(() => backend.create(specIn(place)));
  into.create.push(ms);
  for (let i = 0; i < EXECUTES; i++) {
    const options = { callId: `true-${i}`, timeoutMs: 60_000 };
    into.execute.push((await timed(() => sandbox.exec(["true"], options))).ms);
  }
  const data = new Uint8Array(FILE_BYTES);
  const path = sandbox.locate("/work/bench");
  const there = () => sandbox.writeFile(path, data, { callId: "write" });
  const back = () => sandbox.readFile(path, { callId: "read" });
  into.transfer.push((await timed(async () => [await there(), await back()])).ms);
  into.release.push((await timed(() => sandbox.dispose())).ms);
}

function lives(timings: ReadonlyMap<Subject, Timings>): Row[] {
  const [ours, ...others] = timings;
  if (ours === undefined) return [];
  const names = ["create", "execute", "transfer", "release"] as const;
  return others.flatMap(([{ variant }, theirs]) =>
    names.map((name) =>
      compare(`backend_${name}`, "ms", ours[1][name], { name: peerName(variant), values: theirs[name] }),
    ),
  );
}

/** In every row of it: such numbers are not the service's. */
function peerName({ name, emulated }: Variant): string {
  return emulated ? `${name} (emulated)` : name;
}

interface Step {
  readonly name: string;
  /** Until the last reward is there. */
  readonly wallS: number;
  /** Of each trajectory, what was neither the model's nor the command's, in percent. */
  readonly environment: readonly number[];
  readonly lost: number;
}

/** 16 groups of 8, each with a model that thinks between its steps. */
async function steps(subjects: readonly Subject[], say: Say): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), "sandlot-bench-"));
  const root = join(folder, "root");
  buildRoot(root);
  const played: Step[] = [];
  try {
    for (const { variant, place, backend } of subjects) {
      // The same programs, of this host, where a root file system cannot be a folder.
      const chosen = backend.lacks.directories === undefined ? root : undefined;
      const server = await OurServer.start(join(folder, backend.name), chosen, {
        disk: "auto",
        warm: 2,
        backend: settingsOf(place.options, folder),
      });
      try {
        say(`${peerName(variant)}: a step of ${GROUPS} groups of ${MEMBERS}`);
        played.push(await step(peerName(variant), server, say));
        const last = played.at(-1);
        say(
          `${peerName(variant)}: ${last?.wallS.toFixed(1)} s to the last reward, ${last?.lost} of ${GROUPS * MEMBERS} lost`,
        );
      } finally {
        await server.stop();
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const [ours, ...others] = played;
  if (ours === undefined) return [];
  return others.flatMap((theirs) => [
    compare("step_16x8", "s", [ours.wallS], { name: theirs.name, values: [theirs.wallS] }),
    compare("step_16x8_environment", "%", ours.environment, { name: theirs.name, values: theirs.environment }),
    compare("step_16x8_lost", "rewards", [ours.lost], { name: theirs.name, values: [theirs.lost] }),
  ]);
}

async function step(name: string, server: OurServer, say: Say): Promise<Step> {
  const first = await server.create(); // prepares the environment
  await server.release(first.id);
  const environment: number[] = [];
  let lost = 0;
  const { ms } = await timed(() =>
    Promise.all(
      Array.from({ length: GROUPS * MEMBERS }, async (_, index) => {
        const share = await trajectory(server, index).catch(String);
        if (typeof share === "number") environment.push(share);
        else {
          lost += 1;
          if (lost <= SAID) say(`${name}: a reward was lost: ${share}`);
        }
        const done = environment.length + lost;
        if (done % (2 * MEMBERS) === 0) say(`${name}: ${done} done`);
      }),
    ),
  );
  return { name, wallS: ms / 1_000, environment: environment.length === 0 ? [Number.NaN] : environment, lost };
}

/** The share of the environment in percent, or why there was no reward. */
async function trajectory(server: OurServer, index: number): Promise<number | string> {
  const began = performance.now();
  let elsewhereMs = 0;
  const { id } = await server.create();
  try {
    for (let at = 0; at < STEPS; at++) {
      const thinkMs = 200 + ((index * 7919 + at * 104_729) % 600);
      await sleep(thinkMs);
      const { timings } = await server.bash(id, "python3 -c 'print(sum(range(10**5)))'");
      elsewhereMs += thinkMs + (timings?.commandMs ?? 0);
    }
    const grade = await server.submitted(id);
    if (grade.validity !== Validity.VALID || grade.reward === undefined) return grade.reason;
    return 100 * (1 - elsewhereMs / (performance.now() - began));
  } finally {
    await server.release(id);
  }
}

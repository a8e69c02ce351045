import { readFileSync } from "node:fs";
import type { Backend, Sandbox } from "../src/sandbox/sandbox.ts";
import { specIn } from "../test/support/backends.ts";
import { startDockerd } from "../test/support/engine.ts";
import { engineVariant } from "../test/support/engine-variant.ts";
import { Subject } from "../test/support/subject.ts";
import { spread, timed } from "./measure.ts";
import { pssMiB } from "./memory.ts";

/** More than the 1,023 that one bridge of an engine holds. */
const MANY = 1_030;
/** Made first, to see what each costs. */
const FEW = 50;
/** Of this host's memory, for all of them. */
const MOST_MIB = 14 * 1_024;
const AT_ONCE = 8;
const LIMITS = { memoryMiB: 64, cpuMilli: 1_000, pids: 32, diskMiB: 64 };

type Say = (line: string) => void;

/** More containers alive at once than a bridge has ports, on a Docker engine of its own: a command in each, all released, nothing left. Throws when any of that does not hold. */
export async function benchContainers(say: Say): Promise<void> {
  const start = () => startDockerd({ liveRestore: false });
  const subject = await Subject.open(engineVariant("docker", { backend: "docker", start }));
  try {
    await fill(subject, say);
  } finally {
    await subject[Symbol.asyncDispose]();
  }
}

async function fill({ backend, place }: Subject, say: Say): Promise<void> {
  const before = { available: availableMiB(), pss: enginePssMiB() };
  const alive: Sandbox[] = [];
  const creates: number[] = [];
  const more = async (count: number): Promise<void> => {
    const { ms } = await timed(() =>
      atOnce(AT_ONCE, Array.from({ length: count }), async () => {
        const made = await timed(() => backend.create(specIn(place, { layers: [], workdir: "/", limits: LIMITS })));
        alive.push(made.value);
        creates.push(made.ms);
      }),
    );
    const used = before.available - availableMiB();
    const pss = enginePssMiB() - before.pss;
    say(
      `${alive.length} alive, the last ${count} in ${seconds(ms)}; ${(pss / alive.length).toFixed(1)} MiB PSS and ${(used / alive.length).toFixed(1)} MiB of MemAvailable each`,
    );
  };
  try {
    await more(FEW);
    const perOne = Math.max(before.available - availableMiB(), enginePssMiB() - before.pss) / FEW;
    if (perOne * MANY > MOST_MIB) throw new Error(`${MANY} would take ${Math.round(perOne * MANY)} MiB`);
    while (alive.length < MANY) await more(Math.min(245, MANY - alive.length));
    await commands(alive, say);
    say(`a create: ${words(creates)}`);
  } finally {
    say(`releasing ${alive.length}`);
    const { ms } = await timed(() => atOnce(AT_ONCE, alive, (sandbox) => sandbox.dispose()));
    say(`released in ${seconds(ms)}`);
  }
  await nothingLeft(backend, place.leftovers);
  say("nothing is left");
}

async function commands(alive: readonly Sandbox[], say: Say): Promise<void> {
  const took: number[] = [];
  const { ms } = await timed(() =>
    atOnce(AT_ONCE, alive, async (sandbox) => {
      const ran = await timed(() => sandbox.exec(["hostname"], { callId: "here", timeoutMs: 60_000 }));
      if (ran.value.exitCode !== 0) throw new Error(`a command in ${sandbox.id} ended with ${ran.value.exitCode}`);
      took.push(ran.ms);
    }),
  );
  say(`a command in each of ${took.length}: ${seconds(ms)}, ${words(took)}`);
}

async function nothingLeft(backend: Backend, leftovers: () => Promise<readonly string[]>): Promise<void> {
  const left = [...(await backend.list()), ...(await leftovers())];
  if (left.length > 0) throw new Error(`${left.length} are left, ${left[0]} for example`);
}

async function atOnce<T>(width: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    while (left.length > 0) await work(left.pop() as T); // there was one
  };
  await Promise.all(Array.from({ length: width }, worker));
}

/** Of the engine, the daemon below it, and what it keeps for each container. */
function enginePssMiB(): number {
  return pssMiB((_, __, command) => /^(?:\/usr\/(?:s?bin)\/)?(?:dockerd|containerd)|sandlot-init/.test(command));
}

function availableMiB(): number {
  return Number(/^MemAvailable:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1]) / 1_024;
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

function words(values: readonly number[]): string {
  const { p50, p99 } = spread(values);
  return `median ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms`;
}

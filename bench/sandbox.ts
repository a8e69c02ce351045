import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type Docker from "dockerode";
import { DockerPeer } from "./docker.ts";
import { compare, type Row, refilled, spread, timed } from "./measure.ts";
import { family, pssMiB } from "./memory.ts";
import { OurServer } from "./ours.ts";
import { buildRoot } from "./root.ts";

const ROUNDS = 20;
/** Ready in the pool, and taken one after the other, as the trajectories of a group come. */
const WARM = 4;
const ALIVE = 500;
/** Docker gets so long to reach as many; what it reached by then is said. */
const DOCKER_PATIENCE_MS = 180_000;

type Say = (line: string) => void;

/** Everything that a trajectory pays besides its commands, interleaved with Docker's engine in one run, from the same root. */
export async function benchSandbox(say: Say): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), "sandlot-bench-"));
  const root = join(folder, "root");
  const peer = await DockerPeer.open(say);
  try {
    buildRoot(root);
    await peer?.importRoot(root);
    const rows: Row[] = [];
    for (const disk of ["watched", "auto"] as const) {
      say(`disk: ${disk}`);
      const label = disk === "watched" ? "" : "_disk_auto";
      rows.push(...(await latencies({ folder, root, disk, label, peer: disk === "watched" ? peer : undefined, say })));
    }
    rows.push(...(await many(folder, root, peer, say)));
    return rows;
  } finally {
    await peer?.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Setting {
  readonly folder: string;
  readonly root: string;
  readonly disk: "watched" | "auto";
  readonly label: string;
  readonly peer: DockerPeer | undefined;
  readonly say: Say;
}

async function latencies(setting: Setting): Promise<Row[]> {
  const { folder, root, disk, label, peer, say } = setting;
  const cold = await OurServer.start(join(folder, `cold-${disk}`), root, { disk, warm: 0 });
  const warm = await OurServer.start(join(folder, `warm-${disk}`), root, { disk, warm: WARM });
  const ours = { cold: [] as number[], warm: [] as number[], execute: [] as number[], release: [] as number[] };
  const theirs = { create: [] as number[], execute: [] as number[], release: [] as number[] };
  try {
    for (const server of [cold, warm]) await server.warmUp();
    const neighbour = await warm.create();
    for (let round = 0; round < ROUNDS; round++) {
      say(`round ${round + 1} of ${ROUNDS}`);
      if (peer) await dockerRound(peer, theirs);
      await ourRound(cold, ours.cold, ours, { creates: 1, executes: 10 });
      await refilled(() => warm.bash(neighbour.id, "true"));
      await ourRound(warm, ours.warm, ours, { creates: WARM, executes: 0 });
    }
    await warm.release(neighbour.id);
  } finally {
    await cold.stop();
    await warm.stop();
  }
  const against = (values: readonly number[]) => ({ name: peer?.name ?? "none", values });
  return [
    compare(`create_cold${label}`, "ms", ours.cold, against(theirs.create)),
    compare(`create_warm${label}`, "ms", ours.warm, against(theirs.create)),
    compare(`execute_true${label}`, "ms", ours.execute, against(theirs.execute)),
    compare(`release${label}`, "ms", ours.release, against(theirs.release)),
  ];
}

async function ourRound(
  server: OurServer,
  creates: number[],
  times: { execute: number[]; release: number[] },
  counts: { creates: number; executes: number },
): Promise<void> {
  const ids: string[] = [];
  for (let i = 0; i < counts.creates; i++) {
    const made = await timed(() => server.create());
    creates.push(made.ms);
    ids.push(made.value.id);
  }
  for (const id of ids) {
    for (let i = 0; i < counts.executes; i++) times.execute.push((await timed(() => server.bash(id, "true"))).ms);
    times.release.push((await timed(() => server.release(id))).ms);
  }
}

async function dockerRound(
  peer: DockerPeer,
  times: { create: number[]; execute: number[]; release: number[] },
): Promise<void> {
  const made = await timed(() => peer.create());
  times.create.push(made.ms);
  for (let i = 0; i < 10; i++) times.execute.push((await timed(() => peer.exec(made.value, "true"))).ms);
  times.release.push((await timed(() => peer.remove(made.value))).ms);
}

/** Many alive at once: the time to get there, what they weigh, and how quick a command is then. */
async function many(folder: string, root: string, peer: DockerPeer | undefined, say: Say): Promise<Row[]> {
  const server = await OurServer.start(join(folder, "many"), root, { disk: "watched", warm: 0 });
  try {
    await server.warmUp();
    const few = await fill(10, () => server.create(), Number.POSITIVE_INFINITY);
    const executeFew = await executeEach(few.made, 30, (one) => server.bash(one.id, "true"));
    say(`filling to ${ALIVE}`);
    const rest = await fill(ALIVE - few.made.length, () => server.create(), Number.POSITIVE_INFINITY);
    const all = [...few.made, ...rest.made];
    const executeMany = await executeEach(all, 1, (one) => server.bash(one.id, "true"));
    const mine = family(server.pid);
    const memory = pssMiB((pid, cgroup) => mine.has(pid) || cgroup.includes("/sandlot-")) / all.length;
    await server.release(...all.map(({ id }) => id));
    const perSecond = rest.made.length / (rest.ms / 1000);
    const ourSeconds = ALIVE / perSecond;
    say(`${all.length} alive after ${ourSeconds.toFixed(1)} s, ${memory.toFixed(2)} MiB each`);
    const docker = peer && (await dockerMany(peer, say));
    const name = docker ? `${docker.name}, ${docker.reached} reached` : "none";
    return [
      compare("alive_500", "s to reach", [ourSeconds], { name, values: docker ? [docker.seconds] : [] }),
      compare("memory", "MiB each", [memory], { name, values: docker ? [docker.memory] : [] }),
      {
        ...compare("execute_true_500_alive", "ms", executeMany, { name: "ours with 10 alive", values: executeFew }),
        ratio: spread(executeFew).p99 / spread(executeMany).p99,
      },
    ];
  } finally {
    await server.stop();
  }
}

async function dockerMany(
  peer: DockerPeer,
  say: Say,
): Promise<{ name: string; reached: number; seconds: number; memory: number }> {
  const before = pssMiB((_pid, _cgroup, command) => /dockerd|containerd/.test(command));
  const { made, ms } = await fill(ALIVE, () => peer.create(), DOCKER_PATIENCE_MS);
  const memory =
    pssMiB((_pid, cgroup, command) => /dockerd|containerd/.test(command) || cgroup.includes("/docker/")) - before;
  say(`docker: ${made.length} alive after ${(ms / 1000).toFixed(1)} s`);
  await inParallel(8, made, (one: Docker.Container) => peer.remove(one));
  return {
    name: peer.name,
    reached: made.length,
    seconds: (ms / 1000) * (ALIVE / made.length),
    memory: memory / made.length,
  };
}

async function fill<T>(count: number, make: () => Promise<T>, patienceMs: number): Promise<{ made: T[]; ms: number }> {
  const made: T[] = [];
  const began = performance.now();
  await inParallel(8, Array.from({ length: count }), async () => {
    if (performance.now() - began < patienceMs) made.push(await make());
  });
  return { made, ms: performance.now() - began };
}

async function executeEach<T>(
  all: readonly T[],
  times: number,
  execute: (one: T) => Promise<unknown>,
): Promise<number[]> {
  const values: number[] = [];
  for (let i = 0; i < times; i++) for (const one of all) values.push((await timed(() => execute(one))).ms);
  return values;
}

async function inParallel<T>(width: number, items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const left = items.entries();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const [, item] of left) await work(item);
    }),
  );
}

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DockerPeer } from "./docker.ts";
import { compare, type Row, refilled, spread, timed } from "./measure.ts";
import { OurServer } from "./ours.ts";
import { buildRoot } from "./root.ts";

const STEPS = 150;
const ROUNDS = 3;

/** Submits of each round, besides those of whole trajectories. */
const SUBMITS = 5;
const PARTS = ["submissionMs", "sandboxMs", "applyMs", "testsMs", "verdictMs", "restMs"] as const;

type Parts = Readonly<Record<(typeof PARTS)[number], number>>;

interface Measured {
  readonly hours: number[];
  readonly submits: number[];
}

/** Worker-hours per million trajectories of 150 steps: create, 150 times `true`, submit (diff, fresh sandbox, one test), release; and the submit alone. */
export async function benchTax(say: (line: string) => void): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), "sandlot-bench-"));
  const root = join(folder, "root");
  const peer = await DockerPeer.open(say);
  try {
    buildRoot(root);
    await peer?.importRoot(root);
    const rows: Row[] = [];
    for (const disk of ["watched", "auto"] as const) {
      const server = await OurServer.start(join(folder, disk), root, { disk, warm: 2 });
      const ours: Measured & { readonly parts: Parts[] } = { hours: [], submits: [], parts: [] };
      const theirs: Measured = { hours: [], submits: [] };
      try {
        await server.warmUp();
        for (let round = 0; round < ROUNDS; round++) {
          say(`disk ${disk}, round ${round + 1} of ${ROUNDS}`);
          ours.hours.push(await hours(() => ourTrajectory(server)));
          for (let i = 0; i < SUBMITS; i++) await ourSubmit(server, ours);
          if (peer && disk === "watched") theirs.hours.push(await hours(() => dockerTrajectory(peer, theirs.submits)));
        }
      } finally {
        await server.stop();
      }
      const [name, label] = [peer?.name ?? "none", disk === "watched" ? "" : "_disk_auto"];
      rows.push(
        compare(`tax${label}`, "worker-hours per million", ours.hours, { name, values: theirs.hours }),
        compare(`submit${label}`, "ms", ours.submits, { name, values: theirs.submits }),
      );
      say(`submit, disk ${disk}: ${breakdown(ours.parts)}`);
    }
    const taxes = rows.filter((row) => row.name.startsWith("tax")).map((row) => row.ours.p50);
    say(`tax: ${spread(taxes).p50.toFixed(0)} worker-hours per million trajectories of ${STEPS} steps`);
    return rows;
  } finally {
    await peer?.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Medians of the parts of a submit. What is not the tests is the environment's own share. */
function breakdown(submits: readonly Parts[]): string {
  const median = (part: (parts: Parts) => number): string => spread(submits.map(part)).p50.toFixed(0);
  const own = (parts: Parts): number => PARTS.reduce((sum, part) => sum + parts[part], -parts.testsMs);
  const [submission, sandbox, apply, test, verdict, rest] = PARTS.map((part) => median((parts) => parts[part]));
  return `work tree ${submission} ms, sandbox ${sandbox}, apply ${apply}, tests ${test}, verdict ${verdict}, all else ${rest}; without the tests ${median(own)} ms`;
}

/** Milliseconds of one trajectory are hours per million, divided by 3.6. */
async function hours(trajectory: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await trajectory();
  return (performance.now() - began) / 3.6;
}

async function ourTrajectory(server: OurServer): Promise<void> {
  const { id } = await server.create();
  for (let step = 1; step < STEPS; step++) await server.bash(id, "true");
  await server.submitted(id);
  await server.release(id);
}

async function ourSubmit(server: OurServer, into: Measured & { readonly parts: Parts[] }): Promise<void> {
  const { id } = await server.create();
  await server.bash(id, "echo '# changed' >> test_one.py");
  const { ms, value } = await timed(() => server.submit(id));
  await server.release(id);
  await refilled();
  if (value.reward !== 1 || value.timings === undefined)
    throw new Error(`the submit was not graded 1: ${value.reason}`);
  const { submissionMs, sandboxMs, commandMs, testsMs, verdictMs, gradeMs } = value.timings;
  into.submits.push(ms);
  into.parts.push({ submissionMs, sandboxMs, applyMs: commandMs - testsMs, testsMs, verdictMs, restMs: ms - gradeMs });
}

/** What a harness on Docker does for the same: the diff, a second container, the patch, the test. */
async function dockerTrajectory(peer: DockerPeer, submits: number[]): Promise<void> {
  const container = await peer.create();
  for (let step = 1; step < STEPS; step++) await peer.exec(container, "true");
  await peer.exec(container, "cp -r /etc/alternatives /tmp/a; cp -r /tmp/a /tmp/b; echo changed > /tmp/b/new");
  const began = performance.now();
  await peer.exec(container, "git diff --no-index --binary /tmp/a /tmp/b");
  const judge = await peer.create();
  await peer.exec(
    judge,
    "cd /tmp && printf 'import unittest\\nclass One(unittest.TestCase):\\n  def test_one(self): pass\\n' > test_one.py && python3 -m unittest -v test_one",
  );
  submits.push(performance.now() - began);
  await peer.remove(judge);
  await peer.remove(container);
}

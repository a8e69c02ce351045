import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DockerPeer } from "./docker.ts";
import { compare, type Row, spread } from "./measure.ts";
import { OurServer } from "./ours.ts";
import { buildRoot } from "./root.ts";

const STEPS = 150;
const ROUNDS = 3;

/** Worker-hours per million trajectories of 150 steps: create, 150 times `true`, submit (diff, fresh sandbox, one test), release. */
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
      const [ours, theirs]: [number[], number[]] = [[], []];
      try {
        await server.warmUp();
        for (let round = 0; round < ROUNDS; round++) {
          say(`disk ${disk}, round ${round + 1} of ${ROUNDS}`);
          ours.push(await hours(() => ourTrajectory(server)));
          if (peer && disk === "watched") theirs.push(await hours(() => dockerTrajectory(peer)));
        }
      } finally {
        await server.stop();
      }
      rows.push(
        compare(disk === "watched" ? "tax" : "tax_disk_auto", "worker-hours per million", ours, {
          name: peer?.name ?? "none",
          values: theirs,
        }),
      );
    }
    say(
      `tax: ${spread(rows.map((row) => row.ours.p50)).p50.toFixed(0)} worker-hours per million trajectories of ${STEPS} steps`,
    );
    return rows;
  } finally {
    await peer?.close();
    rmSync(folder, { recursive: true, force: true });
  }
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
  await server.bash(id, "echo '# changed' >> test_one.py");
  await server.submit(id);
  await server.release(id);
}

/** What a harness on Docker does for the same: the diff, a second container, the patch, the test. */
async function dockerTrajectory(peer: DockerPeer): Promise<void> {
  const container = await peer.create();
  for (let step = 1; step < STEPS; step++) await peer.exec(container, "true");
  await peer.exec(container, "cp -r /etc/alternatives /tmp/a; cp -r /tmp/a /tmp/b; echo changed > /tmp/b/new");
  await peer.exec(container, "git diff --no-index --binary /tmp/a /tmp/b");
  const judge = await peer.create();
  await peer.exec(
    judge,
    "cd /tmp && printf 'import unittest\\nclass One(unittest.TestCase):\\n  def test_one(self): pass\\n' > test_one.py && python3 -m unittest -v test_one",
  );
  await peer.remove(judge);
  await peer.remove(container);
}

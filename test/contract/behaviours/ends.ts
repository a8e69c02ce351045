import { expect } from "vitest";
import type { Sandbox } from "../../../src/sandbox/sandbox.ts";
import { bash, eventually } from "../../support/backends.ts";
import type { Behaviour } from "../../support/subject.ts";

/** How commands try to outlive their time-out. `$nap` sleeps for a time by which it is known. */
const TREES: readonly (readonly [string, string])[] = [
  ["ignores SIGTERM", "trap '' TERM INT HUP; while :; do $nap & wait; done"],
  ["leaves its session", "setsid bash -c 'while :; do sleep 1; done' & setsid $nap & wait"],
  ["forks twice", '( (while :; do $nap; done) & ) ; (setsid bash -c "$nap & $nap" &) ; sleep 600'],
  [
    "clears its environment and closes its descriptors",
    'exec env -i bash -c "exec 0>&- 1>&- 2>&-; setsid $nap & sleep 600"',
  ],
];

export const ends: readonly Behaviour[] = [
  {
    name: "at the time-out keeps what was printed on both streams",
    check: async (subject) => {
      const script = "echo partial; echo too >&2; sleep 600";
      const result = await bash(await subject.shared(), script, { timeoutMs: 2_500 });
      expect(result).toMatchObject({ timedOut: "command", stdout: "partial\n", stderr: "too\n", interrupted: false });
      expect(result.durationMs).toBeLessThan(60_000);
    },
  },
  {
    name: "for want of output keeps what was printed",
    check: async (subject) => {
      const result = await bash(await subject.shared(), "echo partial; sleep 600", { noOutputTimeoutMs: 2_500 });
      expect(result).toMatchObject({ timedOut: "no_output", stdout: "partial\n" });
      expect(result.durationMs).toBeLessThan(60_000);
    },
  },
  {
    name: "for want of output does not come to a command that prints now and then",
    check: async (subject) => {
      const script = "for n in 1 2 3 4 5 6 7; do echo $n; sleep 0.5; done";
      const result = await bash(await subject.shared(), script, { noOutputTimeoutMs: 3_000 });
      expect(result).toMatchObject({ timedOut: false, exitCode: 0, stdout: "1\n2\n3\n4\n5\n6\n7\n" });
    },
  },
  {
    name: "does not wait for a child that holds stdout",
    check: async (subject) => {
      const nap = napOf();
      const sandbox = await subject.shared();
      const result = await bash(sandbox, `${nap} & echo started`);
      expect(result).toMatchObject({ exitCode: 0, timedOut: false, stdout: "started\n" });
      expect(result.durationMs).toBeLessThan(60_000);
      await bash(sandbox, `pkill -fx '${nap}'`);
    },
  },
  ...TREES.map(([what, script]) => ({
    name: `at the time-out is that of the whole tree of a command that ${what}`,
    check: async (subject: { shared(): Promise<Sandbox> }) => {
      const sandbox = await subject.shared();
      const nap = napOf();
      const result = await bash(sandbox, script.replaceAll("$nap", nap), { timeoutMs: 400 });
      expect(result.timedOut).toBe("command");
      expect(await napping(sandbox, nap)).toBe(0);
    },
  })),
  {
    name: "by an interrupt is that of the whole tree",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const nap = napOf();
      let started = false;
      const running = bash(sandbox, `${nap} & setsid ${nap} & echo go; ${nap}`, {
        callId: "tree",
        onOutput: () => {
          started = true;
        },
      });
      await eventually("it runs", () => started);
      await sandbox.interrupt("tree");
      expect(await running).toMatchObject({ interrupted: true, timedOut: false, stdout: "go\n" });
      expect(await napping(sandbox, nap)).toBe(0);
    },
  },
  {
    name: "of one command is not that of another",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const other = bash(sandbox, "until [ -e over ]; do sleep 0.02; done; echo on; rm over");
      expect((await bash(sandbox, "sleep 600", { timeoutMs: 200 })).timedOut).toBe("command");
      await bash(sandbox, "touch over");
      expect(await other).toMatchObject({ exitCode: 0, stdout: "on\n", interrupted: false });
    },
  },
  {
    name: "of what does not run can be asked for",
    check: async (subject) => {
      const sandbox = await subject.shared();
      await sandbox.interrupt("never-begun");
      await bash(sandbox, "true", { callId: "over-already" });
      await sandbox.interrupt("over-already");
      sandbox.acknowledge("never-begun");
      expect((await bash(sandbox, "echo fine")).stdout).toBe("fine\n");
    },
  },
];

let naps = 0;

/** A sleep that no other process of this host does for just as long. */
function napOf(): string {
  naps += 1;
  return `sleep 661.${process.pid}${String(naps).padStart(4, "0")}`;
}

/** How many of them there are: only what begins and ends as said is counted, not who looks. */
async function napping(sandbox: Sandbox, nap: string): Promise<number> {
  return Number((await bash(sandbox, `pgrep -fx '${nap}' | wc -l`)).stdout);
}

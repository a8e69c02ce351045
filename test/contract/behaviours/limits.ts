import { expect } from "vitest";
import { LEAST_LIMITS } from "../../../src/config.ts";
import { bash, specIn, textOf } from "../../support/backends.ts";
import type { Behaviour } from "../../support/subject.ts";

const ABILITY_OF = {
  memoryMiB: "memoryLimit",
  cpuMilli: "cpuLimit",
  pids: "pidsLimit",
  diskMiB: "diskLimit",
} as const;

/** Forks until it is refused, and prints how often that went well. */
const FORKING = `my $n = 0; while (1) { my $p = fork(); if (!defined $p) { print $n; kill 9, @p; exit } if (!$p) { sleep 60; exit } push @p, $p; $n++ }`;

/** Takes too much memory and holds it: who looks now and then finds it so. */
const EATING = `perl -e '$x = "x" x 600_000_000; sleep 15'; exit $?`;

export const limits: readonly Behaviour[] = [
  {
    name: "say how they are kept, and NONE exactly where that is lacking",
    check: async (subject) => {
      const { backend } = subject;
      for (const [limit, ability] of Object.entries(ABILITY_OF)) {
        const how = backend.enforced[limit as keyof typeof ABILITY_OF]; // a key of the table above
        expect(["HARD", "WATCHED", "NONE"]).toContain(how);
        expect([limit, how === "NONE"]).toEqual([limit, backend.lacks[ability] !== undefined]);
      }
      expect(backend.enforced.diskMiB === "HARD").toBe(backend.lacks.hardDiskLimit === undefined);
      expect((await subject.shared()).enforced).toEqual(backend.enforced);
    },
  },
  {
    name: "as small as can be let a shell run programs",
    check: async (subject) => {
      const { memory_mib: memoryMiB, cpu_milli: cpuMilli, pids, disk_mib: diskMiB } = LEAST_LIMITS;
      await subject.withSandbox({ limits: { memoryMiB, cpuMilli, pids, diskMiB } }, async (sandbox) => {
        const { exitCode, stdout } = await bash(sandbox, "ls | sort | head -1; echo x > written; cat written");
        expect([exitCode, stdout]).toEqual([0, "file\nx\n"]);
      });
    },
  },
  {
    name: "of processes refuse one more, and the sandbox serves on",
    needs: ["isolation", "pidsLimit"],
    check: async (subject) => {
      const sandbox = await subject.shared();
      const result = await sandbox.exec(["perl", "-e", FORKING], { callId: "pids", timeoutMs: 60_000 });
      const forked = Number(textOf(result, "stdout"));
      expect(forked).toBeGreaterThan(40);
      expect(forked).toBeLessThanOrEqual(64);
      expect((await bash(sandbox, "echo on")).stdout).toBe("on\n");
    },
  },
  {
    name: "of memory end the eater",
    needs: ["isolation", "memoryLimit"],
    check: async (subject) => {
      const sandbox = await subject.shared();
      const result = await bash(sandbox, EATING);
      expect([1, 137]).toContain(result.exitCode);
      expect((await bash(sandbox, "echo on")).stdout).toBe("on\n");
    },
  },
  {
    name: "of memory count whom they ended, for that command alone",
    needs: ["isolation", "memoryLimit", "oomCount"],
    check: async (subject) => {
      const sandbox = await subject.shared();
      const result = await bash(sandbox, EATING);
      expect(result.exitCode).toBe(137);
      expect(result.oomKills).toBeGreaterThanOrEqual(1);
      expect((await bash(sandbox, "true")).oomKills).toBe(0);
    },
  },
  {
    name: "of memory that end the whole sandbox are its own doing",
    needs: ["isolation", "memoryLimit", "oomCount", "ownEnd"],
    check: async (subject) =>
      subject.withSandbox({}, async (victim) => {
        // Eaters that the kernel likes better than the first process.
        const eat = 'open(F, ">", "/proc/self/oom_score_adj"); print F 0; close F; 1 while $x .= "x" x 1e6';
        const script = `echo 1000 > /proc/1/oom_score_adj; for n in 1 2 3; do perl -e '${eat}' & done; wait`;
        const result = await bash(victim, script);
        if (await victim.alive()) return void expect(result.oomKills).toBeGreaterThanOrEqual(1);
        expect(result).toMatchObject({ signal: 9, note: expect.stringContaining("ran out of its") });
      }),
  },
  {
    name: "of disk end the writing, not the sandbox",
    needs: ["isolation", "diskLimit"],
    check: async (subject) =>
      subject.withSandbox({ limits: { ...specIn(subject.place).limits, diskMiB: 64 } }, async (full) => {
        const result = await bash(full, "while head -c 8m /dev/zero >> eaten; do :; done");
        if (full.enforced.diskMiB === "HARD") {
          expect(result.exitCode).toBe(0);
          expect((await full.usage()).diskBytes).toBeLessThanOrEqual(66 * 1_048_576);
        } else {
          expect(result.signal).toBe(9);
          expect(result.note).toContain("limit of 64 MiB");
        }
        expect((await bash(full, "rm eaten && echo again > small && cat small")).stdout).toBe("again\n");
      }),
  },
  {
    name: "of processor time slow down who uses more",
    needs: ["isolation", "cpuLimit"],
    check: async (subject) =>
      subject.withSandbox({ limits: { ...specIn(subject.place).limits, cpuMilli: 200 } }, async (slow) => {
        // Processor time of two that never rest, in clock ticks of a hundredth of a second, within two seconds.
        const spin = `my $end = time + 3; 1 while time < $end; my @t = times; print $t[0] + $t[1], "\\n"`;
        const { stdout } = await bash(slow, `perl -e '${spin}' & perl -e '${spin}'; wait`);
        const used = stdout.trim().split("\n").map(Number);
        expect(used.length).toBe(2);
        expect(used.reduce((sum, each) => sum + each, 0)).toBeLessThan(1.2);
      }),
  },
];

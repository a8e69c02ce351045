import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { memoryHeadroom } from "./headroom.ts";
import { type Home, memoryGroups } from "./memory-bound.ts";

const MIB = 2 ** 20;
const roots: string[] = [];

afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
});

/** The texts of a host with 8 GiB free, of its /proc and /sys. */
function host(texts: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), "memory-bound-"));
  roots.push(root);
  const all = { "proc/meminfo": "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n", "proc/swaps": "Filename\n" };
  for (const [path, text] of Object.entries({ ...all, ...texts })) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

/** How many sandboxes of 1 MiB are admitted beside a reserve of 24 MiB. */
function admitted(root: string, home: Home): number {
  const groups = memoryGroups(home, root);
  return memoryHeadroom({ perSandboxMiB: 1, reserveMiB: 24, groups }, join(root, "proc"))();
}

const two = (root: string): string =>
  `25 22 0:23 ${root} /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n26 22 0:24 / /tmp rw - tmpfs tmpfs rw\n`;
const groupOfTwo = (folder: string, limit: string): Record<string, string> => ({
  [`${folder}/memory.max`]: `${limit}\n`,
  [`${folder}/memory.current`]: `${300 * MIB}\n`,
  [`${folder}/memory.stat`]: `anon ${176 * MIB}\nfile ${124 * MIB}\ninactive_file ${100 * MIB}\nactive_file ${24 * MIB}\n`,
});

test("a container on version 2 with a limit admits what that leaves, its cache of files not counted", () => {
  const root = host({
    "proc/self/mountinfo": two("/"),
    "proc/self/cgroup": "0::/init\n",
    "sys/fs/cgroup/cgroup.controllers": "cpu memory pids\n",
    ...groupOfTwo("sys/fs/cgroup", String(1024 * MIB)),
  });
  expect(admitted(root, "top")).toBe(1024 - 176 - 24);
});

test("a limit above what the host has free changes nothing, nor does none", () => {
  for (const limit of ["max", String(64 * 1024 * MIB)]) {
    const root = host({
      "proc/self/mountinfo": two("/"),
      "proc/self/cgroup": "0::/\n",
      "sys/fs/cgroup/cgroup.controllers": "cpu memory pids\n",
      ...groupOfTwo("sys/fs/cgroup", limit),
    });
    expect(admitted(root, "top")).toBe(8192 - 24);
  }
});

test("sandboxes at the top of the host are not counted against the limit of the server's own group, those in it are", () => {
  const root = host({
    "proc/self/mountinfo": two("/"),
    "proc/self/cgroup": "0::/system.slice/sandlot.service\n",
    "sys/fs/cgroup/cgroup.controllers": "cpu memory pids\n",
    ...groupOfTwo("sys/fs/cgroup/system.slice", String(512 * MIB)),
    ...groupOfTwo("sys/fs/cgroup/system.slice/sandlot.service", String(1024 * MIB)),
  });
  expect(admitted(root, "top")).toBe(8192 - 24);
  expect(admitted(root, "own")).toBe(512 - 176 - 24);
});

test("a container on version 1 that is shown only its own groups admits what its limit leaves", () => {
  const group = "/kubepods/burstable/pod1/c1";
  const root = host({
    "proc/self/mountinfo": `35 31 0:32 ${group} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n`,
    "proc/self/cgroup": `8:pids:${group}\n4:memory:${group}\n0::/\n`,
    "sys/fs/cgroup/memory/memory.limit_in_bytes": `${4096 * MIB}\n`,
    "sys/fs/cgroup/memory/memory.usage_in_bytes": `${1000 * MIB}\n`,
    "sys/fs/cgroup/memory/memory.stat": `inactive_file 1\ntotal_inactive_file ${80 * MIB}\ntotal_active_file ${20 * MIB}\n`,
  });
  for (const home of ["top", "own"] as const) expect(admitted(root, home)).toBe(4096 - 900 - 24);
});

test("the top of version 1 has no limit, though it tells one", () => {
  const root = host({
    "proc/self/mountinfo": "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
    "proc/self/cgroup": "4:memory:/kubepods/pod1/c1\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "1\n",
    "sys/fs/cgroup/memory/kubepods/pod1/c1/memory.limit_in_bytes": `${124 * MIB}\n`,
    "sys/fs/cgroup/memory/kubepods/pod1/c1/memory.usage_in_bytes": "0\n",
  });
  expect(admitted(root, "top")).toBe(8192 - 24);
  expect(admitted(root, "own")).toBe(100);
});

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { Cgroup, type Cgroups, detectCgroups, folderOf } from "./cgroup.ts";

const ID = "sandlot-38c04975-0123456789abcdef0123456789abcdef";
const CONTROLLERS = "cpuset cpu io memory hugetlb pids rdma misc\n";
const NO_SWAP = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
const roots: string[] = [];

/** A folder with the recorded texts of a host's /proc and /sys. */
function recorded(texts: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), "cgroup-test-"));
  roots.push(root);
  for (const [path, text] of Object.entries(texts)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
});

describe("the control groups of a host", () => {
  test("with version 2 alone have the controllers that its top names, and a freezer", () => {
    const root = recorded({
      "proc/self/mountinfo": `24 1 254:0 / / rw,noatime shared:1 - ext4 /dev/vda rw
25 22 0:23 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:7 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
`,
      "proc/swaps": NO_SWAP,
      "sys/fs/cgroup/cgroup.controllers": CONTROLLERS,
    });
    const found = detectCgroups(root);
    expect(found).toMatchObject({ version: 2, hybrid: false, swap: false });
    expect([...(found?.controllers ?? [])]).toEqual([...CONTROLLERS.trim().split(" "), "freezer"]);
    expect(found?.hierarchies).toEqual([{ controllers: [], mountPoint: "/sys/fs/cgroup", root: "/" }]);
  });

  test("with version 2 and few controllers do not have the others", () => {
    const root = recorded({
      "proc/self/mountinfo": "25 22 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
      "proc/swaps": `${NO_SWAP}/swap                                   file\t\t65532\t\t0\t\t-2\n`,
      "sys/fs/cgroup/cgroup.controllers": "cpu pids\n",
    });
    expect(detectCgroups(root)).toMatchObject({ swap: true, controllers: new Set(["cpu", "pids", "freezer"]) });
  });

  test("with version 1 and 2 are those of version 1, and version 2 is known to be beside it", () => {
    const root = recorded({
      "proc/self/mountinfo": `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`,
    });
    expect(detectCgroups(root)).toMatchObject({ version: 1, hybrid: true });
  });

  test("are the mount that shows, of several on /sys/fs/cgroup, whatever other programs mounted elsewhere", () => {
    const root = recorded({
      "proc/self/mountinfo": `133 129 0:23 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup2 rw,nsdelegate
240 133 0:23 /k4 /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup2 rw,nsdelegate
241 129 0:23 / /run/other/cgroupv2 rw,relatime - cgroup2 none rw
`,
      "proc/swaps": NO_SWAP,
      "sys/fs/cgroup/cgroup.controllers": CONTROLLERS,
    });
    expect(detectCgroups(root)?.hierarchies).toEqual([{ controllers: [], mountPoint: "/sys/fs/cgroup", root: "/k4" }]);
  });

  test("that are not mounted are none", () => {
    const root = recorded({ "proc/self/mountinfo": "24 1 254:0 / / rw,noatime shared:1 - ext4 /dev/vda rw\n" });
    expect(detectCgroups(root)).toBeUndefined();
  });
});

describe("the folder of a process", () => {
  const within = (root: string, path: string): string | undefined =>
    folderOf({ controllers: [], mountPoint: "/sys/fs/cgroup", root }, ["1:name=systemd:/other", `0::${path}`]);

  test("is its path below the mount, less what the mount leaves out", () => {
    expect(within("/", `/sandlot-38c04975/${ID}`)).toBe(`/sys/fs/cgroup/sandlot-38c04975/${ID}`);
    expect(within("/", "/")).toBe("/sys/fs/cgroup/");
    expect(within("/machine.slice/one.scope", "/machine.slice/one.scope/init")).toBe("/sys/fs/cgroup/init");
    expect(within("/../..", `/../../sandlot-38c04975/${ID}`)).toBe(`/sys/fs/cgroup/sandlot-38c04975/${ID}`);
  });

  test("is unknown where the mount shows another part, or begins above the namespace", () => {
    expect(within("/machine.slice/one.scope", "/machine.slice/one.scope.other")).toBeUndefined();
    expect(within("/machine.slice/one.scope", "/user.slice/machine.slice/one.scope")).toBeUndefined();
    expect(within("/..", "/")).toBeUndefined();
    expect(within("/..", "/init")).toBeUndefined();
  });
});

describe("a group of version 2", () => {
  const at = (mountPoint: string): Cgroups => ({
    ...{ version: 2, hybrid: false, swap: false, controllers: new Set(["memory", "freezer"]) },
    hierarchies: [{ controllers: [], mountPoint, root: "/" }],
  });

  test("tells kills by its own limit from those for lack of the host's memory", () => {
    const root = recorded({
      [`limited/${ID}/memory.events`]: "low 0\nhigh 0\nmax 251\noom 2\noom_kill 3\noom_group_kill 0\n",
      [`limited/${ID}/memory.current`]: "1048576\n",
      [`spared/${ID}/memory.events`]: "low 0\nhigh 0\nmax 0\noom 0\noom_kill 1\noom_group_kill 0\n",
    });
    const limited = Cgroup.at(at(root), `/limited/${ID}`);
    const none = { own: 0, host: 0 };
    expect([limited.oomKills(), limited.oomKillsSince(1)]).toEqual([3, { own: 2, host: 0 }]);
    expect(limited.oomKillsSince(3)).toEqual(none);
    expect(limited.memoryBytes()).toBe(1_048_576);
    const spared = Cgroup.at(at(root), `/spared/${ID}`);
    expect([spared.oomKills(), spared.oomKillsSince(0)]).toEqual([1, { own: 0, host: 1 }]);
    expect(spared.oomKillsSince(1)).toEqual(none);
  });
});

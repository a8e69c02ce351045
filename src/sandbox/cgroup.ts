import { existsSync, readFileSync } from "node:fs";
import { readdir, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isErrno } from "./identity.ts";
import type { ProcessGroup } from "./process-group.ts";

/** One mounted hierarchy: its controllers (none for version 2), where it is, and which of its folders that place shows. */
interface Hierarchy {
  readonly controllers: readonly string[];
  readonly mountPoint: string;
  readonly root: string;
}

/** What this host's control groups can do. On a hybrid host version 1 has the controllers, and counts. */
export interface Cgroups {
  readonly version: 1 | 2;
  /** Version 2 is mounted beside version 1: it must be hidden from the runtimes. */
  readonly hybrid: boolean;
  readonly controllers: ReadonlySet<string>;
  /** Whether swap can be limited together with memory. */
  readonly swap: boolean;
  readonly hierarchies: readonly Hierarchy[];
}

/** Reads `/proc/self/mountinfo`. Undefined when no control groups are mounted. `root`: where /proc and /sys are. */
export function detectCgroups(root = "/"): Cgroups | undefined {
  const found = readFileSync(join(root, "proc/self/mountinfo"), "utf8").split("\n").flatMap(hierarchy);
  const one = found.filter((each) => each.controllers.length > 0);
  const two = versionTwo(found.filter((each) => each.controllers.length === 0));
  if (one.some((each) => each.controllers.includes("memory"))) {
    const memory = one.find((each) => each.controllers.includes("memory"))?.mountPoint ?? "";
    const swap = existsSync(join(root, memory, "memory.memsw.limit_in_bytes"));
    const hybrid = two !== undefined && two.mountPoint === "/sys/fs/cgroup/unified";
    return { version: 1, hybrid, controllers: new Set(one.flatMap((h) => h.controllers)), swap, hierarchies: one };
  }
  if (two === undefined) return undefined;
  const controllers = readFileSync(join(root, two.mountPoint, "cgroup.controllers"), "utf8")
    .trim()
    .split(/\s+/);
  const swap = readFileSync(join(root, "proc/swaps"), "utf8").trim().includes("\n");
  return { version: 2, hybrid: false, controllers: new Set([...controllers, "freezer"]), swap, hierarchies: [two] };
}

/** Where the runtimes look, though other programs have mounts of their own; of several on one place the last is the one that shows. */
function versionTwo(found: readonly Hierarchy[]): Hierarchy | undefined {
  return found.findLast((each) => /^\/sys\/fs\/cgroup(\/unified)?$/.test(each.mountPoint)) ?? found.at(-1);
}

function hierarchy(line: string): Hierarchy[] {
  const [before = "", after = ""] = line.split(" - ");
  const [, , , root = "/", mountPoint = ""] = before.split(" ");
  const [type, , options = ""] = after.split(" ");
  if (type === "cgroup2") return [{ controllers: [], mountPoint, root }];
  if (type !== "cgroup") return [];
  const controllers = options.split(",").filter((option) => !NOT_CONTROLLERS.test(option));
  return [{ controllers, mountPoint, root }];
}

const NOT_CONTROLLERS = /^(rw|ro|xattr|clone_children|noprefix|release_agent=.*|cpuset_v2_mode|favordynmods)$/;

/**
 * The first process to enter a group after a pause waits for a grace period of the kernel, 5 to 12 ms; those that follow within a few milliseconds do not. Writing this process to the group that it is
 * in changes nothing but takes that wait: begun together with a create, it is over when the runtime comes to the same point. Where it cannot be written, the runtime waits as ever.
 */
export async function expectEntry(cgroups: Cgroups): Promise<void> {
  const lines = readFileSync("/proc/self/cgroup", "utf8").trim().split("\n");
  const [own] = cgroups.hierarchies.flatMap((each) => folderOf(each, lines) ?? []);
  if (own !== undefined) await writeFile(join(own, "cgroup.procs"), String(process.pid)).catch(() => undefined);
}

/** Where a process with these lines in its /proc/PID/cgroup is. Undefined when the mount does not show it, or shows more than the namespace that the paths begin in. */
export function folderOf(each: Hierarchy, lines: readonly string[]): string | undefined {
  const line = lines.find((text) => (text.split(":")[1] ?? "") === each.controllers.join(","));
  const path = line?.split(":").slice(2).join(":");
  const above = each.root === "/" ? "" : each.root;
  if (path === undefined || !`${path}/`.startsWith(`${above}/`)) return undefined;
  return join(each.mountPoint, path.slice(above.length));
}

/** The control group of one sandbox, in every hierarchy. */
export class Cgroup implements ProcessGroup {
  readonly #cgroups: Cgroups;
  /** By hierarchy, in the order of `Cgroups.hierarchies`. */
  readonly folders: readonly string[];

  private constructor(cgroups: Cgroups, folders: readonly string[]) {
    this.#cgroups = cgroups;
    this.folders = folders;
  }

  /** Where the runtime was asked to put it: `path` counts from the top of each hierarchy. */
  static at(cgroups: Cgroups, path: string): Cgroup {
    return new Cgroup(
      cgroups,
      cgroups.hierarchies.map((each) => join(each.mountPoint, path)),
    );
  }

  /** Where the process really is. `name` is its last component: a hierarchy in which it is elsewhere is not ours to touch. */
  static of(cgroups: Cgroups, pid: number, name: string): Cgroup {
    const lines = readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().split("\n");
    const folders = cgroups.hierarchies
      .map((each) => folderOf(each, lines))
      .filter((folder): folder is string => folder?.endsWith(`/${name}`) === true);
    return new Cgroup(cgroups, folders);
  }

  /** Out-of-memory kills since the start, whosever memory ran out; 0 where it is not counted. */
  oomKills(): number {
    return this.#counter("memory", this.#cgroups.version === 1 ? "memory.oom_control" : "memory.events", "oom_kill");
  }

  /** Those since there were `before`: by the limit of this very group when that was ever hit, else by the host for lack of memory. */
  oomKillsSince(before: number): { readonly own: number; readonly host: number } {
    const kills = this.oomKills() - before;
    if (kills <= 0) return { own: 0, host: 0 };
    return this.#hitMemoryLimit() ? { own: kills, host: 0 } : { own: 0, host: kills };
  }

  /** Whether the limit of this very group was ever hit: tells its own out-of-memory from the host's. */
  #hitMemoryLimit(): boolean {
    if (this.#cgroups.version === 2) return this.#counter("memory", "memory.events", "oom") > 0;
    // Some kernels leave the count of failures at 0: then the most that was ever used tells.
    const read = (file: string): number => Number(this.#read("memory", file));
    return read("memory.failcnt") > 0 || read("memory.max_usage_in_bytes") > 0.95 * read("memory.limit_in_bytes");
  }

  memoryBytes(): number {
    return Number(this.#read("memory", this.#cgroups.version === 1 ? "memory.usage_in_bytes" : "memory.current"));
  }

  processes(): readonly number[] {
    const text = this.#read("pids", "cgroup.procs").trim();
    return text === "" ? [] : text.split("\n").map(Number);
  }

  busy(): boolean {
    return this.processes().length > 1;
  }

  /** Resolves when every process stands still; rejects when that takes longer than `timeoutMs` (it is thawed then). */
  async freeze(timeoutMs: number): Promise<void> {
    const end = performance.now() + timeoutMs;
    await this.#writeFreezer(true);
    for (let round = 1; !this.#isFrozen(); round++) {
      if (performance.now() > end) {
        await this.thaw();
        throw new Error(`processes did not stand still within ${timeoutMs} ms`);
      }
      await sleep(1);
      // Version 1 looks again only when told again, and can stick where a parent waits for a child that is frozen already.
      if (round % 500 === 0) await this.thaw();
      if (round % 20 === 0) await this.#writeFreezer(true);
    }
  }

  async thaw(): Promise<void> {
    await this.#writeFreezer(false).catch(ignoreMissing);
  }

  /** SIGKILL to every process but `spare`. Returns how many were hit. */
  kill(spare?: number): number {
    let hit = 0;
    for (const pid of this.processes()) {
      if (pid === spare) continue;
      try {
        process.kill(pid, "SIGKILL");
        hit++;
      } catch (error) {
        if (!isErrno(error, "ESRCH")) throw error;
      }
    }
    return hit;
  }

  exists(): boolean {
    return this.folders.some((folder) => existsSync(folder));
  }

  /** Removes the folders (and those that processes inside made below). Its processes are dead; their last traces may take a moment. */
  async remove(timeoutMs: number): Promise<void> {
    const end = performance.now() + timeoutMs;
    await Promise.all(this.folders.map((folder) => removeFolder(folder, end)));
  }

  #folder(controller: string): string | undefined {
    if (this.#cgroups.version === 2) return this.folders[0];
    const at = this.#cgroups.hierarchies.findIndex((each) => each.controllers.includes(controller));
    const mountPoint = this.#cgroups.hierarchies[at]?.mountPoint;
    return mountPoint === undefined ? undefined : this.folders.find((folder) => folder.startsWith(`${mountPoint}/`));
  }

  #read(controller: string, file: string): string {
    const folder = this.#folder(controller);
    try {
      return folder === undefined ? "" : readFileSync(join(folder, file), "utf8");
    } catch {
      return "";
    }
  }

  #counter(controller: string, file: string, key: string): number {
    const line = this.#read(controller, file)
      .split("\n")
      .find((text) => text.startsWith(`${key} `));
    return Number(line?.slice(key.length + 1) ?? 0);
  }

  async #writeFreezer(frozen: boolean): Promise<void> {
    const folder = this.#folder("freezer");
    if (folder === undefined) throw new Error("this host has no freezer");
    if (this.#cgroups.version === 2) await writeFile(join(folder, "cgroup.freeze"), frozen ? "1" : "0");
    else await writeFile(join(folder, "freezer.state"), frozen ? "FROZEN" : "THAWED");
  }

  #isFrozen(): boolean {
    if (this.#cgroups.version === 2) return this.#counter("freezer", "cgroup.events", "frozen") === 1;
    return this.#read("freezer", "freezer.state").trim() === "FROZEN";
  }
}

/** The folders directly below `path`, by name, in any hierarchy. */
export async function listCgroups(cgroups: Cgroups, path: string): Promise<readonly string[]> {
  const all = await Promise.all(cgroups.hierarchies.map((each) => subfolders(join(each.mountPoint, path))));
  return [...new Set(all.flat())];
}

/** Removes the group at `path` and those directly below it, as far as no process is in them: the kernel refuses the others. */
export async function removeEmptyCgroups(cgroups: Cgroups, path: string): Promise<void> {
  for (const { mountPoint } of cgroups.hierarchies) {
    const folder = join(mountPoint, path);
    const below = (await subfolders(folder)).map((name) => join(folder, name));
    for (const each of [...below, folder]) await rmdir(each).catch(() => undefined);
  }
}

async function removeFolder(folder: string, end: number): Promise<void> {
  for (let pauseMs = 0.5; ; pauseMs = Math.min(pauseMs * 2, 20)) {
    try {
      return await rmdir(folder);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return;
      if (performance.now() > end) throw new Error(`the control group ${folder} cannot be removed`, { cause: error });
      for (const child of await subfolders(folder)) await removeFolder(join(folder, child), end);
      await sleep(pauseMs);
    }
  }
}

async function subfolders(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

function ignoreMissing(error: unknown): void {
  if (!isErrno(error, "ENOENT")) throw error;
}

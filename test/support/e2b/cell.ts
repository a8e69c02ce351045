import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const ROOT = "/sys/fs/cgroup";

/** The size of a machine: control groups that its processes are in, where this host has those of version 1. */
export class Cell {
  readonly folders: readonly string[];

  private constructor(folders: readonly string[]) {
    this.folders = folders;
  }

  static make(name: string, memoryMiB: number): Cell {
    const there = ["memory", "pids", "cpu", "freezer"].filter((controller) =>
      existsSync(join(ROOT, controller, "tasks")),
    );
    const folders = there.map((controller) => join(ROOT, controller, name));
    for (const folder of folders) mkdirSync(folder);
    const memory = folders.find((folder) => folder.startsWith(join(ROOT, "memory")));
    if (memory !== undefined) writeFileSync(join(memory, "memory.limit_in_bytes"), String(memoryMiB * 1_048_576));
    return new Cell(folders);
  }

  /** Lets go what it froze: nothing that is frozen can die. */
  thaw(): void {
    const frozen = this.folders.filter((folder) => folder.startsWith(join(ROOT, "freezer")) && existsSync(folder));
    for (const folder of frozen.flatMap((each) => [...below(each), each])) {
      writeFileSync(join(folder, "freezer.state"), "THAWED");
    }
  }

  /** Its processes have to be dead or dying. */
  async remove(): Promise<void> {
    for (const folder of this.folders) await removeTree(folder);
  }
}

function below(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return entries.flatMap(({ name }) => [...below(join(folder, name)), join(folder, name)]);
}

async function removeTree(folder: string): Promise<void> {
  for (let round = 0; existsSync(folder); round++) {
    try {
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        if (entry.isDirectory()) await removeTree(join(folder, entry.name));
      }
      rmdirSync(folder);
    } catch (error) {
      if (round > 300) throw error;
      await sleep(10);
    }
  }
}

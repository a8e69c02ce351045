import { readFileSync } from "node:fs";
import { type Identity, lives } from "./identity.ts";
import { continueTree, descendants, type ProcessTable, signalIfThere, stopTree } from "./tree.ts";

/** All processes of one sandbox, from outside. A control group is one; where there is none, all that lies below the first process. */
export interface ProcessGroup {
  /** Out-of-memory kills since the start. */
  oomKills(): number;
  /** Those since there were `before`, by whose lack of memory. */
  oomKillsSince(before: number): { readonly own: number; readonly host: number };
  memoryBytes(): number;
  /** Of a dead sandbox there are none. */
  processes(): readonly number[];
  /** Whether anything but the first process runs, as far as that is known without a long look. */
  busy(): boolean;
  /** Resolves when every process stands still; rejects when that takes longer than `timeoutMs` (it is thawed then). */
  freeze(timeoutMs: number): Promise<void>;
  thaw(): Promise<void>;
  /** SIGKILL to every process but `spare`. Returns how many were hit. */
  kill(spare?: number): number;
  /** Removes what the group itself leaves when its processes are dead. */
  remove(timeoutMs: number): Promise<void>;
}

/** By what /proc says. The first process is that of a PID namespace: nothing inside can leave it. */
export class ProcessTree implements ProcessGroup {
  readonly #first: Identity;
  #oomKills = 0;
  #busy = true;

  constructor(first: Identity) {
    this.#first = first;
  }

  oomKills(): number {
    return this.#oomKills;
  }

  oomKillsSince(before: number): { readonly own: number; readonly host: number } {
    return { own: this.#oomKills - before, host: 0 };
  }

  /** Pages that several processes share count once for each. */
  memoryBytes(table?: ProcessTable): number {
    return this.processes(table).reduce((sum, pid) => sum + residentBytes(pid), 0);
  }

  /** Ends the largest process when all together are over the limit, as the kernel does it for a control group. */
  keepMemory(limitBytes: number, table: ProcessTable): void {
    const processes = this.processes(table);
    this.#busy = processes.length > 1;
    if (this.memoryBytes(table) <= limitBytes) return;
    const [largest] = processes
      .filter((pid) => pid !== this.#first.pid)
      .sort((a, b) => residentBytes(b) - residentBytes(a));
    if (largest !== undefined && signalIfThere(largest, "SIGKILL")) this.#oomKills++;
  }

  /** At the last look at its memory. */
  busy(): boolean {
    return this.#busy;
  }

  processes(table?: ProcessTable): readonly number[] {
    if (!lives(this.#first)) return [];
    return [this.#first.pid, ...descendants(this.#first.pid, table).map(({ pid }) => pid)];
  }

  freeze(timeoutMs: number): Promise<void> {
    return stopTree(this.#first, timeoutMs);
  }

  thaw(): Promise<void> {
    continueTree(this.#first);
    return Promise.resolve();
  }

  kill(spare?: number): number {
    return this.processes().filter((pid) => pid !== spare && signalIfThere(pid, "SIGKILL")).length;
  }

  remove(): Promise<void> {
    return Promise.resolve();
  }
}

/** Private pages, and those it shares with others. */
function residentBytes(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]) * PAGE_BYTES;
  } catch {
    return 0;
  }
}

/** The least that a page has: where pages are larger, memory is found over its limit later, never too early. */
const PAGE_BYTES = 4096;

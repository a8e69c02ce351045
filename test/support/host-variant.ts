import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { identify, waitUntilDead } from "../../src/sandbox/identity.ts";
import { newPlace, type Variant as OwnVariant } from "./backends.ts";
import { leftovers } from "./leftovers.ts";
import type { Daemon, Place, Variant } from "./variants.ts";

/** Backends whose sandboxes are processes of this host. */
export function hostVariant(name: string, options: OwnVariant["options"], only?: Variant["only"]): Variant {
  const { type } = options;
  return { backend: type, name, ...(only && { only }), ground: () => Promise.resolve(groundOf({ name, options })) };
}

function groundOf(variant: OwnVariant): Awaited<ReturnType<Variant["ground"]>> {
  const place = (): Place => {
    const own = newPlace(variant);
    return {
      ...own,
      leftovers: () => Promise.resolve(leftovers(own.stateDir, own.instance)),
      endFromOutside: (id) => endFirstProcess(own.stateDir, id),
      daemon: variant.options.type === "oci" ? LAUNCHER : { because: "its sandboxes are children of nobody" },
    };
  };
  return { place, [Symbol.asyncDispose]: () => Promise.resolve() };
}

async function endFirstProcess(stateDir: string, id: string): Promise<void> {
  const identity = identify(firstProcessOf(stateDir, id));
  if (identity === undefined) throw new Error(`the first process of ${id} is dead already`);
  process.kill(identity.pid, "SIGKILL");
  if (!(await waitUntilDead(identity, 10_000))) throw new Error(`the first process of ${id} does not die`);
}

function firstProcessOf(stateDir: string, id: string): number {
  const record: unknown = JSON.parse(readFileSync(join(stateDir, "sandboxes", id, "sandbox.json"), "utf8"));
  return (record as { identity: { pid: number } }).identity.pid; // as src/sandbox/record.ts writes it
}

/** The process in which the runtimes are started; the next that is to be started brings it back. */
const LAUNCHER: Daemon = {
  stop: () => {
    killLaunchers();
    return Promise.resolve();
  },
  start: () => Promise.resolve(),
};

/** Those below this process, as far as there are any just now. */
export function killLaunchers(): void {
  const children = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && parentOf(pid) === process.pid);
  const launchers = children.filter((pid) => readIfThere(`/proc/${pid}/cmdline`).includes("launcher-main"));
  for (const pid of launchers) process.kill(Number(pid), "SIGKILL");
}

function parentOf(pid: string): number {
  const stat = readIfThere(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

export function readIfThere(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

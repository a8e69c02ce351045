import { readdirSync } from "node:fs";
import { rm, unlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Identity, isErrno, signal, waitUntilDead } from "../identity.ts";
import type { ProcessGroup } from "../process-group.ts";
import { waitUntilDetached } from "./image.ts";
import type { Launched, Launcher } from "./launcher.ts";
import { endMakers } from "./makers.ts";
import type { Places } from "./places.ts";

export interface Remains {
  readonly id: string;
  readonly places: Places;
  readonly disk: "folder" | "image";
  /** Of the first process, where it was ever written down. */
  readonly identity: Identity | undefined;
  readonly group: ProcessGroup | undefined;
  readonly launcher: Launcher;
}

/** Ends all processes of a sandbox. With the first one its namespaces go, and with them every mount. */
export async function endProcesses({ id, identity, group }: Remains): Promise<void> {
  if (identity !== undefined) signal(identity, "SIGKILL");
  else {
    await endMakers(id, DEADLINE_MS);
    group?.kill();
  }
  // Version 1 keeps even a killed process frozen.
  await group?.thaw();
  if (identity !== undefined && !(await waitUntilDead(identity, DEADLINE_MS))) {
    throw new Error(`process ${identity.pid} did not die within ${DEADLINE_MS} ms of SIGKILL`);
  }
  const end = performance.now() + DEADLINE_MS;
  while (group !== undefined && group.kill() > 0) {
    if (performance.now() > end) throw new Error(`processes ${group.processes().join(", ")} do not die`);
    await sleep(1);
  }
}

/** Removes what is left when the processes are gone: control groups, the runtime's state, the disk, the folder last (a later server finds by it what is left). */
export async function removeBytes({ places, disk, group, launcher }: Remains): Promise<void> {
  await Promise.all([
    group?.remove(DEADLINE_MS),
    rm(places.runtime, { recursive: true, force: true }),
    disk === "image" ? removeImage(places.image) : undefined,
  ]);
  if (!isSmall(places) || !(await removeAsOwner(places.folder))) await removeTree(places.folder, launcher);
}

/** What waits for a slow disk dies only when it has its answer; given up before that, it would lie there until the next start. */
const DEADLINE_MS = 300_000;

async function removeImage(image: string): Promise<void> {
  if (!(await waitUntilDetached(image, DEADLINE_MS))) throw new Error(`a loop device still holds ${image}`);
  await unlink(image).catch((error: unknown) => {
    if (!isErrno(error, "ENOENT")) throw error;
  });
}

/** Whether processes inside left nothing that would take long, or that is nested deeper than a path can say. */
function isSmall(places: Places): boolean {
  return ["upper", "view0/upper"].every((name) => {
    try {
      return readdirSync(join(places.own, name)).length === 0;
    } catch (error) {
      return isErrno(error, "ENOENT");
    }
  });
}

/** False where that is for root alone: the folder in which an overlay works is nobody's to read, but for the launcher, which is root at least of its own. */
async function removeAsOwner(folder: string): Promise<boolean> {
  try {
    await rm(folder, { recursive: true, force: true });
    return true;
  } catch (error) {
    if (isErrno(error, "EACCES")) return false;
    throw error;
  }
}

async function removeTree(folder: string, launcher: Launcher): Promise<void> {
  const argv = ["sh", "-c", 'rm -rf --one-file-system -- "$1" 2>&1', "rm", folder];
  const remove = (): Promise<Launched> => launcher.run({ argv, open: [], timeoutMs: 600_000 });
  // A second time when the launcher was killed meanwhile: the next run starts another one.
  const { code, stdout } = await remove().catch(remove);
  if (code !== 0) throw new Error(`the folder ${folder} cannot be removed: ${stdout.trim()}`);
}

import type { Backend } from "../sandbox/sandbox.ts";
import type { Catalog } from "../tasks/catalog.ts";
import type { Births } from "./birth.ts";
import type { Ledger } from "./ledger.ts";
import type { Ended } from "./lines.ts";
import type { Population } from "./population.ts";
import type { Store } from "./store.ts";
import { summariseEnded } from "./summary.ts";

export interface Reconciled {
  readonly resumed: number;
  readonly lost: number;
  readonly removed: number;
}

export interface ReconcileParts {
  readonly store: Store;
  readonly backend: Backend;
  readonly births: Births;
  readonly population: Population;
  readonly catalog: Catalog;
}

/**
 * Makes the world agree with the journals before the server listens: live trajectories go on (each with a full lease), those whose sandbox or task is gone end, and what belongs to nobody
 * is removed.
 */
export async function reconcile(parts: ReconcileParts): Promise<Reconciled> {
  const { store, backend, population } = parts;
  const living: Ledger[] = [];
  for (const found of store.scan()) {
    if ("ledger" in found) living.push(found.ledger);
    else
      population.bury(summariseEnded(found.created, found.ended, store.path(found.created.id)), found.created.digest);
  }
  let lost = 0;
  for (const ledger of living) lost += (await revive(parts, ledger)) ? 0 : 1;
  const kept = new Set(population.alive.filter((one) => one.hasSandbox).map(({ id }) => id));
  const stray = (await backend.list()).filter((id) => !kept.has(id));
  await atOnce(4, stray, (id) => backend.remove(id));
  for (const trajectory of population.alive) trajectory.resume();
  return { resumed: population.alive.length, lost, removed: stray.length };
}

/** False when it could not go on: then it is ended. */
async function revive(parts: ReconcileParts, ledger: Ledger): Promise<boolean> {
  const { store, backend, births, population, catalog } = parts;
  const { id, call } = ledger.created;
  const task = catalog.list().find((one) => one.id === call.taskId);
  if (!task && !call.bare?.image) {
    endUnseen(parts, ledger, "TASK", `task ${call.taskId} is not among this server's tasks any more`);
    return false;
  }
  const submitted = ledger.finalIntent && ledger.submissions.has(ledger.finalIntent.gradeId);
  const needsSandbox = !ledger.final && !submitted;
  const sandbox = needsSandbox ? await backend.reopen(id) : undefined;
  if (needsSandbox && !sandbox) {
    endUnseen(parts, ledger, "INFRA", "the sandbox died while no server ran");
    return false;
  }
  population.add(births.readopt({ ledger, journal: store.open(id), sandbox, task }));
  return true;
}

function endUnseen(
  { store, population }: ReconcileParts,
  ledger: Ledger,
  ending: Ended["ending"],
  reason: string,
): void {
  const { created, lastStep, turns, harnessCalls, lastAt } = ledger;
  const ended: Ended = {
    type: "ended",
    at: Date.now(),
    ending,
    reason,
    lastStep,
    turns,
    ...(harnessCalls > 0 ? { harnessCalls } : {}),
    wallUsedMs: lastAt - created.at,
  };
  const journal = store.open(created.id);
  journal.append(ended);
  journal.close();
  population.bury(summariseEnded(created, ended, journal.path), created.digest);
}

async function atOnce<T>(width: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
    }),
  );
}

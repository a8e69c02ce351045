import { Births } from "./birth.ts";
import { PatchGrades } from "./patch-grades.ts";
import { type Reconciled, reconcile } from "./reconcile.ts";
import { Registry, type RegistryParts } from "./registry.ts";
import type { Rollouts } from "./rollouts.ts";
import { Store } from "./store.ts";

export interface RolloutsOptions extends Omit<RegistryParts, "store" | "patchGrades"> {
  readonly stateDir: string;
  /** At most so much of prepared environments is kept. */
  readonly environmentsMaxBytes: number;
}

export interface OpenRollouts extends Rollouts {
  readonly reconciled: Reconciled;
  /** Refuses new work and waits, at most so long, for running steps and Creates. */
  drain(atMostMs: number): Promise<void>;
  /** Writes nothing more, removes the warm pool and stops looking after leases; live trajectories stay for the next start. */
  close(): Promise<void>;
}

/** Reconciles with what an earlier server left, then is ready to serve. */
export async function openRollouts(options: RolloutsOptions): Promise<OpenRollouts> {
  const store = new Store(options.stateDir);
  const patchGrades = new PatchGrades(options);
  const registry = new Registry({ ...options, store, patchGrades });
  const { backend, catalog, environments, warm } = options;
  const births = new Births({ ...options, store }, (trajectory, summary) => registry.bury(trajectory, summary));
  const reconciled = await reconcile({ store, backend, births, population: registry.population, catalog });
  await backend.sweep?.(); // now that nothing stands on what a killed server left half-made
  const sweeping = setInterval(() => registry.sweep(performance.now()), 1000);
  const collecting = setInterval(() => {
    environments
      .collect(options.environmentsMaxBytes, (gone) => warm.drop(gone))
      .then(() => backend.sweep?.())
      .catch(options.failed);
  }, 600_000);
  sweeping.unref();
  collecting.unref();
  const refuseNew = registry.drain.bind(registry);
  return Object.assign(registry, {
    reconciled,
    async drain(atMostMs: number) {
      refuseNew();
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, atMostMs);
      await Promise.race([registry.idle(), late.promise]);
      clearTimeout(timer);
    },
    async close() {
      registry.leave();
      clearInterval(sweeping);
      clearInterval(collecting);
      patchGrades.close();
      await warm.drain();
    },
  });
}

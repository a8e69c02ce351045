import { type Environment, sandboxOf } from "../environments/environment.ts";
import type { Limits, Sandbox, SandboxSpec } from "../sandbox/sandbox.ts";

/** Where sandboxes come from, ready or made, and where they go. */
export interface Source {
  obtain(spec: SandboxSpec, signal: AbortSignal): Promise<Sandbox>;
  /** Behind the back of whoever is done with it. Does not throw. */
  discard(sandbox: Sandbox): Promise<void>;
}

export interface FreshOptions {
  readonly source: Source;
  readonly environment: Environment;
  readonly newId: () => string;
  readonly limits: Limits;
  readonly signal: AbortSignal;
}

/** Works in a fresh sandbox of an environment, of which nothing is left a moment later: nobody waits for that. `sandboxMs`: what having it took. */
export async function inFreshSandbox<T>(
  { source, environment, newId, limits, signal }: FreshOptions,
  work: (sandbox: Sandbox, sandboxMs: number) => Promise<T>,
): Promise<T> {
  const started = performance.now();
  const spec = { id: newId(), ...sandboxOf(environment), views: [], limits, network: "none" } as const;
  const sandbox = await source.obtain(spec, signal);
  try {
    return await work(sandbox, performance.now() - started);
  } finally {
    void source.discard(sandbox);
  }
}

import type { Environment } from "../environments/environment.ts";
import type { Backend, Limits, Sandbox } from "../sandbox/sandbox.ts";

export interface FreshOptions {
  readonly backend: Backend;
  readonly environment: Environment;
  readonly newId: () => string;
  readonly limits: Limits;
  readonly signal: AbortSignal;
}

/** Works in a fresh sandbox of an environment, of which nothing is left. `sandboxMs`: what making it took. */
export async function inFreshSandbox<T>(
  { backend, environment, newId, limits, signal }: FreshOptions,
  work: (sandbox: Sandbox, sandboxMs: number) => Promise<T>,
): Promise<T> {
  const { rootfs, layers, binds, workdir, env } = environment;
  const started = performance.now();
  const spec = { id: newId(), rootfs, layers, binds, views: [], workdir, env, limits, network: "none" } as const;
  const sandbox = await backend.create(spec, signal);
  try {
    return await work(sandbox, performance.now() - started);
  } finally {
    await sandbox.dispose();
  }
}

import type { Backend, Sandbox, SandboxSpec } from "./sandbox.ts";

/**
 * What a backend hands to the guard: calls reject with `RunnerGone` when the first process does not answer any more, and nothing is checked twice.
 */
export interface BareSandbox extends Sandbox {
  /** Why its first process is gone, in words for the policy, when processes inside did it; undefined when the cause lies outside. */
  endedByItself(): string | undefined;
  /** Ends every process but the first one. */
  killCommands(): void;
}

export interface BareBackend extends Backend {
  create(spec: SandboxSpec, signal?: AbortSignal): Promise<BareSandbox>;
  reopen(id: string): Promise<BareSandbox | undefined>;
  buildLayer(spec: SandboxSpec, target: string, work: (sandbox: BareSandbox) => Promise<void>): Promise<void>;
}

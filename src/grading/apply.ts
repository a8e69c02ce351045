import type { Environment } from "../environments/environment.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import type { GraderSpec } from "./spec.ts";

/** How a version of the harness applies a submission. Each command gets the patch file as its last argument. */
export interface ApplyChain {
  /** In order; the first that exits with 0 has applied the patch. */
  readonly commands: readonly (readonly string[])[];
  /** Before each command but the first. */
  readonly reset: readonly string[];
  /** After all failed: exit 0 means that the patch is there all the same. */
  readonly verify: readonly string[];
}

/** `GIT_APPLY_CMDS` and `run_instance` of `swebench/harness/run_evaluation.py`, by version. */
export const APPLY_CHAINS: Readonly<Record<GraderSpec["apply"], ApplyChain>> = {
  "swebench@5.0.2": {
    commands: [
      ["git", "apply", "--verbose"],
      ["git", "apply", "--verbose", "--3way"],
      ["git", "apply", "--verbose", "--reject"],
      ["patch", "--batch", "--forward", "--fuzz=5", "-p1", "-i"],
    ],
    reset: ["/bin/bash", "-c", "git checkout -- . ; git clean -fd"],
    verify: ["git", "apply", "--check", "--reverse"],
  },
};

/** Where the harness puts it. */
const PATCH_FILE = "/tmp/patch.diff";
const COMMAND_TIMEOUT_MS = 300_000;

/** Applies a patch in a fresh sandbox, as root in the workdir. False: no command of the chain applies it. Bytes are not touched. */
export async function applyPatch(
  { sandbox, environment, signal }: { sandbox: Sandbox; environment: Environment; signal: AbortSignal },
  chain: ApplyChain,
  patch: Uint8Array,
): Promise<{ readonly applied: boolean; readonly failure?: string }> {
  const written = await sandbox.writeFile(PATCH_FILE, patch, { callId: "apply-write", signal });
  if (written.failure !== undefined) return { applied: false, failure: written.failure };
  let calls = 0;
  const succeeds = async (argv: readonly string[]): Promise<boolean> => {
    calls += 1;
    const result = await sandbox.exec(argv, {
      callId: `apply-${calls}`,
      cwd: environment.workdir,
      env: environment.env,
      timeoutMs: COMMAND_TIMEOUT_MS,
      keepBytes: 64 * 1024,
      signal,
    });
    return result.exitCode === 0;
  };
  const file = sandbox.locate(PATCH_FILE);
  for (const [attempt, command] of chain.commands.entries()) {
    if (attempt > 0) await succeeds(chain.reset);
    if (await succeeds([...command, file])) return { applied: true };
  }
  return { applied: await succeeds([...chain.verify, file]) };
}

import type { Sandbox } from "../sandbox/sandbox.ts";
import type { ApplyName } from "./spec.ts";

/** How a version of the harness applies a submission. Each command gets the patch file as its last argument. */
export interface ApplyChain {
  /** In order; the first that exits with 0 has applied the patch. */
  readonly commands: readonly (readonly string[])[];
  /** Before each command but the first; without it a command finds what the one before it left. */
  readonly reset?: readonly string[];
  /** After all failed: exit 0 means that the patch is there all the same. */
  readonly verify?: readonly string[];
}

/** `GIT_APPLY_CMDS` and `run_instance` of `swebench/harness/run_evaluation.py`, by version. */
export const APPLY_CHAINS: Readonly<Record<ApplyName, ApplyChain>> = {
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
  "swebench@4.1.0": {
    commands: [
      ["git", "apply", "--verbose"],
      ["git", "apply", "--verbose", "--reject"],
      ["patch", "--batch", "--fuzz=5", "-p1", "-i"],
    ],
  },
};

/** Where the harness puts the patch. */
export const PATCH_FILE = "/tmp/patch.diff";
const COMMAND_TIMEOUT_MS = 300_000;

/** Applies `PATCH_FILE` in a fresh sandbox, as root in the workdir. False: no command of the chain applies it. */
export async function applyPatch(sandbox: Sandbox, chain: ApplyChain, signal: AbortSignal): Promise<boolean> {
  const file = sandbox.locate(PATCH_FILE);
  let calls = 0;
  const succeeds = async (argv: readonly string[]): Promise<boolean> => {
    calls += 1;
    const limits = { timeoutMs: COMMAND_TIMEOUT_MS, keepBytes: 64 * 1024 };
    return (await sandbox.exec(argv, { callId: `apply-${calls}`, ...limits, signal })).exitCode === 0;
  };
  for (const [attempt, command] of chain.commands.entries()) {
    if (attempt > 0 && chain.reset !== undefined) await succeeds(chain.reset);
    if (await succeeds([...command, file])) return true;
  }
  return chain.verify !== undefined && succeeds([...chain.verify, file]);
}

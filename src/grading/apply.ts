import type { Sandbox } from "../sandbox/sandbox.ts";
import { refuseHostKills } from "./host-pressure.ts";
import type { ApplyName } from "./spec.ts";

/** How a harness applies a submission. Each command gets the patch file as its last argument. */
export interface ApplyChain {
  /** In order; the first that exits with 0 has applied the patch. */
  readonly commands: readonly (readonly string[])[];
  /** Before each command but the first; without it a command finds what the one before it left. */
  readonly reset?: readonly string[];
  /** After all failed: exit 0 means that the patch is there all the same. */
  readonly verify?: readonly string[];
  /** Where the patch lies; default `/tmp/patch.diff`. */
  readonly at?: string;
  /** `fail` (default): a patch that no command applies is graded as such. `run`: the tests run on what is there, and their rule decides. */
  readonly otherwise?: "fail" | "run";
  /** Sections for binary files are left out. */
  readonly textOnly?: boolean;
}

/** Of SWE-bench: `GIT_APPLY_CMDS` and `run_instance` of `swebench/harness/run_evaluation.py`, by version. */
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
  /** SWE-Gym, `run_instance` of `swegym/harness/run_evaluation.py`. */
  "swebench@2.1": {
    commands: [
      ["git", "apply", "--allow-empty", "-v"],
      ["patch", "--batch", "--fuzz=5", "-p1", "-i"],
    ],
  },
  /** `run_in_container` of `scripts/eval.py`, under `set -e`. */
  "swe-rebench-v2": {
    commands: [["git", "apply", "-v", "--3way", "--recount", "--ignore-space-change", "--whitespace=nowarn"]],
  },
  /** `apply_patch` of `launch/core/runtime.py`, whose answer nobody reads: what applies is applied. */
  "swe-bench-live": { commands: [["git", "apply", "--reject", "--whitespace=nowarn"]], otherwise: "run" },
  /** The script applies it: `create_entryscript` and `strip_binary_hunks` of `swe_bench_pro_eval.py`. */
  "swe-bench-pro": { commands: [], at: "/workspace/patch.diff", otherwise: "run", textOnly: true },
  /** The script applies it: `fix-run.sh`. */
  "multi-swe-bench": { commands: [], at: "/home/fix.patch", otherwise: "run" },
  /** For harnesses that grade where the agent worked: what it left is made again. */
  plain: { commands: [["git", "apply", "--whitespace=nowarn"]] },
};

const PATCH_FILE = "/tmp/patch.diff";
const COMMAND_TIMEOUT_MS = 300_000;

export const patchFileOf = ({ at = PATCH_FILE }: ApplyChain): string => at;

/** The patch as the harness hands it to its commands. */
export function patchFor({ textOnly = false }: ApplyChain, patch: Uint8Array): Uint8Array {
  if (!textOnly) return patch;
  // One character a byte: the patch may hold any text.
  const sections = Buffer.from(patch)
    .toString("latin1")
    .split(/^(?=diff --git )/m);
  const isBinary = (section: string): boolean => /^(?:Binary files .* differ|GIT binary patch)$/m.test(section);
  return Buffer.from(sections.filter((section) => section.trim() !== "" && !isBinary(section)).join(""), "latin1");
}

/** Applies the patch file in a fresh sandbox, as root in the workdir. False: no command of the chain applies it. */
export async function applyPatch(sandbox: Sandbox, chain: ApplyChain, signal: AbortSignal): Promise<boolean> {
  const file = sandbox.locate(patchFileOf(chain));
  let calls = 0;
  const succeeds = async (argv: readonly string[]): Promise<boolean> => {
    calls += 1;
    const limits = { timeoutMs: COMMAND_TIMEOUT_MS, keepBytes: 64 * 1024 };
    const result = await sandbox.exec(argv, { callId: `apply-${calls}`, ...limits, signal });
    refuseHostKills(result);
    return result.exitCode === 0;
  };
  for (const [attempt, command] of chain.commands.entries()) {
    if (attempt > 0 && chain.reset !== undefined) await succeeds(chain.reset);
    if (await succeeds([...command, file])) return true;
  }
  return chain.otherwise === "run" || (chain.verify !== undefined && succeeds([...chain.verify, file]));
}

import { pythonPattern } from "../python-pattern.ts";
import type { InfraFailure } from "../verdict.ts";

/** `INFRA_FAILURE_SIGNATURES` of `harness/infra_failure.py` of 5.0.2, in its order: what speaks for a broken environment, surely or perhaps. */
const SIGNATURES = [
  ["environment", "browser_launch_failed", "Failed to launch|Failed to connect to the bus"],
  ["environment", "display_unavailable", "cannot open display|Missing X server|unable to open X display"],
  ["environment", "out_of_memory", "Cannot allocate memory|OutOfMemoryError|^Killed$"],
  ["environment", "container_unavailable", "Error response from daemon|Cannot connect to the Docker daemon"],
  ["environment", "network_unreachable", "Could not resolve host|Temporary failure in name resolution"],
  ["ambiguous", "missing_module", "Cannot find module|MODULE_NOT_FOUND|ModuleNotFoundError"],
  ["ambiguous", "no_tests_collected", "no tests ran|collected 0 items"],
  ["ambiguous", "tests_timed_out", String.raw`Timeout error: \d+ seconds exceeded`],
] as const;

const PATTERNS = SIGNATURES.map(([tier, reason, signature]) => ({
  tier,
  reason,
  pattern: pythonPattern(signature, "m"),
}));

/** `classify_text`: the first sign that there is. Advisory: it changes no verdict. */
export function classifyFailure(text: string): InfraFailure | undefined {
  const found = PATTERNS.find(({ pattern }) => pattern.test(text));
  return found && { reason: found.reason, tier: found.tier };
}

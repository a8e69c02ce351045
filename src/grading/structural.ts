import type { ExecResult, Sandbox } from "../sandbox/sandbox.ts";
import { APPLY_CHAINS, type ApplyChain, applyPatch, patchFileOf, patchFor } from "./apply.ts";
import { type FreshOptions, inFreshSandbox } from "./fresh.ts";
import type { Outcome } from "./grade.ts";
import { placeFile } from "./hidden-files.ts";
import { refuseHostKills } from "./host-pressure.ts";
import type { RunTimings } from "./official.ts";
import type { ApplyName } from "./spec.ts";

export interface StructuralRequest extends FreshOptions {
  readonly apply: ApplyName;
  readonly patch: Uint8Array;
}

export interface Structure {
  readonly outcome: Extract<Outcome, "COMPILES" | "DOES_NOT_COMPILE" | "PATCH_DOES_NOT_APPLY">;
  readonly reason: string;
  readonly timings: RunTimings;
}

/** Whether a patch applies, and whether what it changes can be compiled. Nothing of it is run, and it is no verdict. Fault `sandbox` when the infrastructure failed. */
export async function checkStructure(request: StructuralRequest): Promise<Structure> {
  return inFreshSandbox(request, async (sandbox, sandboxMs) => {
    const { apply, patch, signal } = request;
    const started = performance.now();
    const chain = chainOf(apply);
    await placeFile(sandbox, patchFileOf(chain), patchFor(chain, patch), signal);
    const applied = await applyPatch(sandbox, chain, signal);
    const applyMs = performance.now() - started;
    if (!applied) {
      const timings = { sandboxMs, applyMs, testMs: 0 };
      return { outcome: "PATCH_DOES_NOT_APPLY", reason: `no command of ${apply} applies the patch`, timings };
    }
    const compiled = await compile(sandbox, signal);
    return { ...compiled, timings: { sandboxMs, applyMs, testMs: performance.now() - started - applyMs } };
  });
}

/** Where a family's own script applies the patch, or does not mind when it fails, `git apply` says what becomes of it. */
function chainOf(apply: ApplyName): ApplyChain {
  const { commands, reset, verify } = APPLY_CHAINS[apply];
  if (commands.length === 0) return APPLY_CHAINS.plain;
  return { commands, ...(reset && { reset }), ...(verify && { verify }) };
}

const TIMEOUT_MS = 120_000;
const SOME_DO_NOT = 10;

async function compile(sandbox: Sandbox, signal: AbortSignal): Promise<Omit<Structure, "timings">> {
  const argv = ["bash", "-c", COMPILE, "compile", PYTHON];
  const result = await sandbox.exec(argv, { callId: "compile", timeoutMs: TIMEOUT_MS, keepBytes: 64 * 1024, signal });
  refuseHostKills(result);
  const said = textOf(result).trim();
  if (result.exitCode === 0) return { outcome: "COMPILES", reason: `the patch applies; ${said}; no test was run` };
  const why =
    result.exitCode === SOME_DO_NOT
      ? said.slice(0, 1_000)
      : result.timedOut !== false
        ? `not within ${TIMEOUT_MS} ms`
        : (result.note ?? `the compilers ended with ${result.exitCode ?? `signal ${result.signal}`}`);
  return { outcome: "DOES_NOT_COMPILE", reason: `the patch applies, but what it changes does not compile: ${why}` };
}

/** Regular files only: a patch may add links to anywhere. Modules and scripts of JavaScript may have the same ending. */
const COMPILE = `
set -o pipefail
python=$(command -v python || command -v python3) node=$(command -v node)
py=() bad=0 checked=0 left=0
while IFS= read -r -d '' file; do
  if [ -L "$file" ] || [ ! -f "$file" ]; then continue; fi
  case $file in
    *.py) if [ -n "$python" ]; then py+=("$file"); checked=$((checked + 1)); continue; fi ;;
    *.js | *.cjs | *.mjs)
      if [ -n "$node" ]; then
        checked=$((checked + 1))
        says=$("$node" --check "./$file" 2>&1) || "$node" --input-type=module --check < "$file" > /dev/null 2>&1 ||
          { bad=1; printf '%s: %s\\n' "$file" "$(printf %s "$says" | grep -m1 Error)"; }
        continue
      fi ;;
    *.sh | *.bash) checked=$((checked + 1)); bash -n "./$file" 2>&1 || bad=1; continue ;;
  esac
  left=$((left + 1))
done < <(git add --all && git diff --cached --name-only --diff-filter=d --no-renames -z HEAD)
if [ \${#py[@]} -gt 0 ]; then printf '%s\\0' "\${py[@]}" | "$python" -I -S -c "$1" || bad=1; fi
[ $bad = 0 ] || exit ${SOME_DO_NOT}
echo "$checked changed files compile, $left are of a kind that is not compiled"
`;

const PYTHON = `
import os, sys
bad = 0
for name in sys.stdin.buffer.read().split(b"\\0")[:-1]:
    try:
        with open(name, "rb") as source:
            compile(source.read(), os.fsdecode(name), "exec", dont_inherit=True)
    except Exception as error:
        bad = 1
        print("%s: %s: %s" % (ascii(os.fsdecode(name))[1:-1], type(error).__name__, error))
sys.exit(bad)
`;

function textOf({ output }: ExecResult): string {
  return Buffer.concat(output.map(({ data }) => data)).toString("utf8");
}

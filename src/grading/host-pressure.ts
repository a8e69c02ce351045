import { SandlotError } from "../errors.ts";
import type { ExecResult } from "../sandbox/sandbox.ts";

export const HOST_OUT_OF_MEMORY =
  "the host ran out of memory and ended processes of a sandbox in which a submission was judged";

/** Fault `sandbox` for a command that failed when the host had ended some of its processes for lack of its own memory: that it failed proves nothing. */
export function refuseHostKills({ exitCode, hostOomKills }: ExecResult): void {
  if (exitCode !== 0 && hostOomKills !== undefined) throw new SandlotError("sandbox", HOST_OUT_OF_MEMORY);
}

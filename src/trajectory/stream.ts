import type { OutputChunk } from "../sandbox/sandbox.ts";
import type { ExecCall, ExecOutcome } from "./harness-calls.ts";
import type { LiveOutput } from "./live-output.ts";
import type { ExecuteCall, StepResult, StreamEvent, Waiting } from "./rollouts.ts";
import type { Trajectory } from "./trajectory.ts";

/** A silent command says that it is still there so often. */
const QUIET_MS = 5000;

/** A tool call with live output, from an offset on. Leaving the stream never ends the command. */
export function streamStep(
  trajectory: Trajectory,
  call: ExecuteCall & { readonly fromOffset: number },
  waiting: Waiting,
): AsyncIterable<StreamEvent<StepResult>> {
  return stream(call.fromOffset, waiting, {
    work: trajectory.execute(call, waiting),
    live: (work) => trajectory.liveOutput(call.callId, work),
    stored: () => trajectory.storedOutput(call.callId),
    ahead: () => trajectory.ahead,
  });
}

/** The same for a program of a harness. */
export function streamExec(
  { harness }: Trajectory,
  call: ExecCall & { readonly fromOffset: number },
  waiting: Waiting,
): AsyncIterable<StreamEvent<ExecOutcome>> {
  return stream(call.fromOffset, waiting, {
    work: harness.exec(call, waiting),
    live: (work) => harness.liveOutput(call.callId, work),
    stored: () => harness.storedOutput(call.callId),
    ahead: () => 0,
  });
}

interface Source<R> {
  readonly work: Promise<R>;
  readonly live: (work: Promise<R>) => Promise<LiveOutput | undefined>;
  /** The kept output of one that was answered before. */
  readonly stored: () => readonly OutputChunk[];
  /** Commands before it. */
  readonly ahead: () => number;
}

async function* stream<R extends { readonly outputBytes: number }>(
  fromOffset: number,
  waiting: Waiting,
  { work, live: find, stored, ahead }: Source<R>,
): AsyncIterable<StreamEvent<R>> {
  work.catch(() => undefined); // awaited below
  const live = await find(work);
  let offset = fromOffset;
  if (live) {
    if (live.runningMs() === 0 && ahead() > 0) yield { type: "queued", ahead: ahead() };
    for await (const chunk of live.read(offset, QUIET_MS, waiting.signal)) {
      if (chunk) {
        const cut = from(chunk, offset);
        offset = cut.offset + cut.data.length;
        yield { type: "output", chunk: cut };
      } else if (live.runningMs() > 0) yield { type: "progress", offset, runningMs: live.runningMs() };
      else yield { type: "queued", ahead: ahead() };
    }
  }
  const result = await work;
  for (const chunk of live ? [] : stored()) {
    if (chunk.offset + chunk.data.length > offset) yield { type: "output", chunk: from(chunk, offset) };
  }
  yield { type: "result", offset: Math.max(offset, result.outputBytes), result };
}

function from(chunk: OutputChunk, offset: number): OutputChunk {
  const skip = Math.max(0, offset - chunk.offset);
  return skip === 0 ? chunk : { ...chunk, offset: chunk.offset + skip, data: chunk.data.subarray(skip) };
}

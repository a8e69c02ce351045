import type { OutputChunk } from "../sandbox/sandbox.ts";
import type { ExecuteCall, StreamEvent, Waiting } from "./rollouts.ts";
import type { Trajectory } from "./trajectory.ts";

/** A silent step says that it is still there so often. */
const QUIET_MS = 5000;

/** A tool call with live output, from an offset on. Leaving the stream never ends the command. */
export async function* streamStep(
  trajectory: Trajectory,
  call: ExecuteCall & { readonly fromOffset: number },
  waiting: Waiting,
): AsyncIterable<StreamEvent> {
  const work = trajectory.execute(call, waiting);
  work.catch(() => undefined); // awaited below
  const live = await trajectory.liveOutput(call.callId, work);
  let offset = call.fromOffset;
  if (live) {
    if (live.runningMs() === 0 && trajectory.ahead > 0) yield { type: "queued", ahead: trajectory.ahead };
    for await (const chunk of live.read(offset, QUIET_MS, waiting.signal)) {
      if (chunk) {
        const cut = from(chunk, offset);
        offset = cut.offset + cut.data.length;
        yield { type: "output", chunk: cut };
      } else if (live.runningMs() > 0) yield { type: "progress", offset, runningMs: live.runningMs() };
      else yield { type: "queued", ahead: trajectory.ahead };
    }
  }
  const result = await work;
  for (const chunk of live ? [] : trajectory.storedOutput(call.callId)) {
    if (chunk.offset + chunk.data.length > offset) yield { type: "output", chunk: from(chunk, offset) };
  }
  yield { type: "result", offset: Math.max(offset, result.outputBytes), result };
}

function from(chunk: OutputChunk, offset: number): OutputChunk {
  const skip = Math.max(0, offset - chunk.offset);
  return skip === 0 ? chunk : { ...chunk, offset: chunk.offset + skip, data: chunk.data.subarray(skip) };
}

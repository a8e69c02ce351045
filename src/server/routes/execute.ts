import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ExecuteEventSchema } from "../../gen/sandlot/v1/rollout_service_pb.ts";
import type { OutputChunk } from "../../sandbox/sandbox.ts";
import type { StreamEvent } from "../../trajectory/rollouts.ts";
import type { Scopes } from "../authorize.ts";
import { decodeExecute, identifier, trajectoryId } from "../decode.ts";
import { encodeResult, encodeTrajectory } from "../encode.ts";
import { uint32 } from "../encode-grade.ts";
import { type RouteContext, type Routes, waiting } from "./route.ts";

/** One message of output: a client that reads slowly is waited for after each. */
const CHUNK_BYTES = 256 * 1024;

type EventInit = MessageInitShape<typeof ExecuteEventSchema>;

export function executeRoutes({ rollouts }: RouteContext): Routes<"execute" | "executeStream" | "interrupt"> {
  return {
    async execute(request, call) {
      return encodeResult(await rollouts.execute(decodeExecute(request), waiting(call)), call.scopes);
    },
    async *executeStream(request, call) {
      const asked = decodeExecute(request);
      for await (const event of rollouts.executeStream(asked, waiting(call)))
        yield* encodeEvent(event, asked.fromOffset, call.scopes);
    },
    async interrupt({ trajectoryId: id, callId }, call) {
      const running = callId === "" ? "" : identifier(callId, "call_id");
      return encodeTrajectory(await rollouts.interrupt(trajectoryId(id), running), call.scopes);
    },
  };
}

/** Output before `from` is cut off, and pieces are kept small. */
export function* encodeEvent(event: StreamEvent, from: number, scopes: Scopes): Generator<EventInit> {
  switch (event.type) {
    case "queued":
      yield { event: { case: "queued", value: { ahead: event.ahead } } };
      break;
    case "result":
      yield { offset: BigInt(event.offset), event: { case: "result", value: encodeResult(event.result, scopes) } };
      break;
    default:
      yield* encodeLive(event, from);
  }
}

/** What any stream tells while something runs. */
export function* encodeLive(event: Extract<StreamEvent, { readonly type: "output" | "progress" }>, from: number) {
  if (event.type === "output") yield* encodeOutput(event.chunk, from);
  else
    yield {
      offset: BigInt(event.offset),
      event: { case: "progress", value: { runningMs: uint32(event.runningMs) } },
    } as const;
}

function* encodeOutput({ offset, stream, data }: OutputChunk, from: number) {
  const end = offset + data.length;
  for (let at = Math.max(offset, from); at < end; at += CHUNK_BYTES) {
    const value = data.subarray(at - offset, Math.min(at - offset + CHUNK_BYTES, data.length));
    yield { offset: BigInt(at), event: { case: stream, value } } as const;
  }
}

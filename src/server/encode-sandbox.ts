import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type ExecEventSchema,
  type ExecResultSchema,
  type FileChunkSchema,
  FileType,
} from "../gen/sandlot/v1/sandbox_service_pb.ts";
import { ResultKind } from "../gen/sandlot/v1/trajectory_pb.ts";
import type { FileContent } from "../sandbox/sandbox.ts";
import type { ExecOutcome, FilePiece } from "../trajectory/harness-calls.ts";
import type { StreamEvent } from "../trajectory/rollouts.ts";
import { uint32 } from "./encode-grade.ts";
import { encodeLive } from "./routes/execute.ts";

/** Answers of SandboxService as messages. */

type EventInit = MessageInitShape<typeof ExecEventSchema>;

/** Output before `from` is cut off, and pieces are kept small. */
export function* encodeExecEvent(event: StreamEvent<ExecOutcome>, from: number): Generator<EventInit> {
  switch (event.type) {
    case "queued":
      break; // nothing is queued here
    case "result":
      yield { offset: BigInt(event.offset), event: { case: "result", value: encodeExecResult(event.result) } };
      break;
    default:
      yield* encodeLive(event, from);
  }
}

function encodeExecResult(outcome: ExecOutcome): MessageInitShape<typeof ExecResultSchema> {
  const { exitCode, signal, kind, outputTruncated, oomKills, replayed } = outcome;
  return {
    ...(exitCode !== undefined && { exitCode }),
    signal: signal ?? 0,
    kind: ResultKind[kind],
    outputBytes: BigInt(outcome.outputBytes),
    ...{ outputTruncated, oomKills, replayed },
    durationMs: uint32(outcome.durationMs),
    timeoutMs: uint32(outcome.timeoutMs),
    note: outcome.note ?? "",
  };
}

const TYPES: Readonly<Record<FileContent["type"], FileType>> = {
  file: FileType.FILE,
  directory: FileType.DIRECTORY,
  other: FileType.OTHER,
  missing: FileType.MISSING,
  denied: FileType.DENIED,
};

export function encodePiece({ type, offset, sizeBytes, data }: FilePiece): MessageInitShape<typeof FileChunkSchema> {
  return { type: TYPES[type], offset: BigInt(offset), sizeBytes: BigInt(sizeBytes), data };
}

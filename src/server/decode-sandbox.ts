import { SandlotError } from "../errors.ts";
import type { ExecRequest, FileChunk, ReadFileRequest } from "../gen/sandlot/v1/sandbox_service_pb.ts";
import type { ExecCall, ReadCall, WriteCall } from "../trajectory/harness-calls.ts";
import { absolute, decodeEnv, identifier, invalid, trajectoryId, whole } from "./decode.ts";
import { Malformed } from "./definition.ts";

/** Requests of SandboxService as plain data; see decode.ts. */

const MAX_KEEP_BYTES = 16 << 20;
/** What one command may be told by words and variables: the kernel takes 2 MiB, and the record has them. */
const MAX_WORDS_BYTES = 1 << 20;
const MAX_FILE_BYTES = 64 << 20;

export function decodeExec(request: ExecRequest): ExecCall & { readonly fromOffset: number } {
  const { argv, workdir, stdin, timeoutMs, noOutputMs, keepBytes } = request;
  if (argv.length === 0 || argv[0] === "") throw invalid("argv", "a program and its arguments", "nothing");
  if (argv.some((word) => word.includes("\0"))) throw invalid("argv", "text without NUL", "a NUL");
  const env = decodeEnv(request.env, "env");
  const bytes = Buffer.byteLength([...argv, ...Object.entries(env).flat()].join("\0"));
  if (bytes > MAX_WORDS_BYTES) throw invalid("argv", `with env at most ${MAX_WORDS_BYTES} bytes`, `${bytes}`);
  if (keepBytes > MAX_KEEP_BYTES) throw invalid("keep_bytes", `at most ${MAX_KEEP_BYTES}`, `${keepBytes}`);
  return {
    trajectoryId: trajectoryId(request.trajectoryId),
    callId: identifier(request.callId, "call_id"),
    workdir: workdir === "" ? "" : absolute(workdir, "workdir"),
    ...{ argv, env, stdin, timeoutMs, noOutputMs, keepBytes },
    fromOffset: whole(request.fromOffset, "from_offset"),
  };
}

export function decodeRead(request: ReadFileRequest): ReadCall {
  return {
    trajectoryId: trajectoryId(request.trajectoryId),
    path: absolute(request.path, "path"),
    offset: whole(request.offset, "offset"),
    maxBytes: whole(request.maxBytes, "max_bytes"),
  };
}

/** Gathers all chunks; refuses what is too long, or says no place, as soon as that shows. */
export async function decodeWrite(chunks: AsyncIterable<FileChunk | Malformed>): Promise<WriteCall> {
  let place: Omit<WriteCall, "data"> | undefined;
  const data: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    if (chunk instanceof Malformed) throw new SandlotError("invalid", `A chunk cannot be read: ${chunk.reason}`);
    place ??= decodePlace(chunk);
    bytes += chunk.data.length;
    if (bytes > MAX_FILE_BYTES) throw invalid("data", `at most ${MAX_FILE_BYTES} bytes in all`, "more");
    data.push(chunk.data);
  }
  if (place) return { ...place, data: Buffer.concat(data) };
  throw invalid("trajectory_id", "a first chunk that says where to write", "no chunk");
}

function decodePlace({ trajectoryId: id, callId, path, mode }: FileChunk): Omit<WriteCall, "data"> {
  if (mode !== undefined && mode > 0o7777) throw invalid("mode", "permission bits, at most 07777", mode.toString(8));
  return {
    trajectoryId: trajectoryId(id),
    callId: identifier(callId, "call_id"),
    path: absolute(path, "path"),
    ...(mode !== undefined && { mode }),
  };
}

import { SandlotError } from "../../errors.ts";
import type { ExecOptions, ExecResult, FileContent, FileOptions, ReadRange } from "../sandbox.ts";
import { Call, type Ending } from "./call.ts";
import { encodeData, encodeRequest, Flag, Op } from "./frames.ts";

const defaultKeepBytes = 1024 * 1024;
const maxFileBytes = 64 * 1024 * 1024;
const modeAsItIs = 0xffffffff;

/** `ExecOptions` with the sandbox's defaults filled in. */
export interface RunnerExecOptions extends ExecOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** What the runner knows of a command; out-of-memory kills are counted outside, by the backend. */
export type RunnerExecResult = Omit<ExecResult, "oomKills" | "hostOomKills">;

/** What the runner's answer means, and whether it is worth asking once more. */
export interface FileAnswer<T> {
  readonly value: T;
  readonly again: boolean;
}

export function execRequest(argv: readonly string[], options: RunnerExecOptions, spillPrefix: string): Call {
  if (argv.length === 0) throw new SandlotError("invalid", "a command has at least one word, got none");
  const keepBytes = options.keepBytes ?? defaultKeepBytes;
  const environment = Object.entries(options.env).map(([name, value]) => `${name}=${value}`);
  const always =
    (options.captureState === true ? Flag.captureState : 0) |
    (options.repeats !== undefined ? Flag.repeat : 0) |
    (options.repeats === "ahead" ? Flag.ahead : 0);
  return new Call(options.callId, keepBytes, (live, fromOffset) => {
    const request = encodeRequest(Op.start, options.callId, {
      flags: always | (live ? Flag.live : 0),
      timeoutMs: options.timeoutMs,
      noOutputTimeoutMs: options.noOutputTimeoutMs ?? 0,
      keepBytes,
      spillBytes: options.spillBytes ?? 0,
      fromOffset,
      a: argv.length,
      words: [options.cwd, spillPrefix, ...argv, ...environment],
    });
    return [...(options.stdin === undefined ? [] : encodeData(options.stdin)), request];
  });
}

export function toExecResult(ending: Ending): RunnerExecResult {
  const { keepBytes, lost, value: _, outputBytes, ...rest } = ending;
  return { ...rest, outputBytes, truncated: lost || outputBytes > keepBytes };
}

export function readRequest(
  path: string,
  { callId, offset = 0, maxBytes = maxFileBytes, timeoutMs }: FileOptions & ReadRange & { readonly timeoutMs: number },
): Call {
  const atMost = Math.min(maxBytes, maxFileBytes);
  // A listing may go beyond by one entry.
  const keepBytes = atMost + 1024;
  return new Call(callId, keepBytes, (_live, fromOffset) => [
    encodeRequest(Op.read, callId, { timeoutMs, keepBytes, fromOffset, a: offset, b: atMost, words: [path] }),
  ]);
}

export function readAnswer(ending: Ending): FileAnswer<FileContent> {
  const types = ["file", "directory", "other", "missing", "denied"] as const;
  const type = types[ending.exitCode ?? types.length] ?? "denied";
  const data = Buffer.concat(ending.output.map((chunk) => chunk.data));
  const again = ending.lost || (ending.signal !== undefined && ending.timedOut === false);
  if (type === "file") return { value: { type, sizeBytes: Math.max(ending.value, data.length), data }, again };
  if (type !== "directory") return { value: { type, sizeBytes: 0, data: Buffer.alloc(0) }, again };
  const entries = data.toString("latin1").split("\n").slice(0, -1).sort();
  return {
    value: { type, sizeBytes: data.length, data: Buffer.from(entries.map((entry) => `${entry}\n`).join(""), "latin1") },
    again,
  };
}

export function writeRequest(
  path: string,
  data: Uint8Array,
  options: { readonly callId: string; readonly mode?: number; readonly timeoutMs: number },
): Call {
  if (data.length > maxFileBytes) {
    throw new SandlotError("invalid", `a file that is written has at most ${maxFileBytes} bytes, got ${data.length}`);
  }
  return new Call(options.callId, 4096, (_live, fromOffset) => [
    ...encodeData(data),
    encodeRequest(Op.write, options.callId, {
      timeoutMs: options.timeoutMs,
      keepBytes: 4096,
      fromOffset,
      a: options.mode ?? modeAsItIs,
      words: [path],
    }),
  ]);
}

export function writeAnswer(ending: Ending): FileAnswer<{ readonly failure?: string }> {
  const again = ending.signal !== undefined && ending.timedOut === false;
  if (ending.exitCode === 0) return { value: {}, again };
  const words = Buffer.concat(ending.output.map((chunk) => chunk.data)).toString();
  return { value: { failure: words || (ending.note ?? "it took too long") }, again };
}

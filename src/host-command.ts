import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { SandlotError } from "./errors.ts";

export interface HostCommand {
  readonly argv: readonly [string, ...string[]];
  /** The whole environment: nothing of this process's own is added. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stdin?: string | Readable;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** More output than this ends the command with an error. Default 64 MiB. */
  readonly maxBytes?: number;
}

export interface HostOutcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs one of the host's own trusted programs (git, tar, python) to its end; a non-zero exit is a result. Never used on what a sandbox wrote.
 */
export function runOnHost(command: HostCommand): Promise<HostOutcome> {
  command.signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<HostOutcome>();
  const [program, ...rest] = command.argv;
  const child = spawn(program, rest, {
    cwd: command.cwd,
    env: command.env,
    stdio: [command.stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    detached: true,
  });
  let ended: Error | undefined;
  const end = (why: Error): void => {
    ended ??= why;
    killGroup(child.pid);
  };
  const onAbort = (): void => end(asError(command.signal?.reason));
  const timer = setTimeout(() => end(timedOut(command)), command.timeoutMs);
  command.signal?.addEventListener("abort", onAbort, { once: true });

  const maxBytes = command.maxBytes ?? 64 * 1024 * 1024;
  const stdout = collect(child.stdout, maxBytes, () => end(tooMuch(program, maxBytes)));
  const stderr = collect(child.stderr, maxBytes, () => end(tooMuch(program, maxBytes)));
  feed(child.stdin, command.stdin);

  child.once("error", (cause) => {
    ended ??= new SandlotError("task", `${program} could not be started on this host: ${cause.message}`, { cause });
  });
  child.once("close", (code, signal) => {
    clearTimeout(timer);
    command.signal?.removeEventListener("abort", onAbort);
    if (ended) return reject(ended);
    resolve({ exitCode: code ?? (signal ? 128 : 1), stdout: stdout(), stderr: stderr() });
  });
  return promise;
}

/** The last `bytes` of a text, for a message. */
export function tail(text: string, bytes = 2048): string {
  const trimmed = text.trimEnd();
  return trimmed.length <= bytes ? trimmed : `...${trimmed.slice(-bytes)}`;
}

function collect(stream: Readable | null, maxBytes: number, onTooMuch: () => void): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size > maxBytes) onTooMuch();
    else chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString("utf8");
}

function feed(stdin: NodeJS.WritableStream | null, input: string | Readable | undefined): void {
  if (!stdin || input === undefined) return;
  // A program that ends without reading all of its input is no failure of ours: its exit code tells.
  stdin.on("error", () => {});
  if (typeof input === "string") stdin.end(input);
  else input.pipe(stdin);
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error("cancelled");
}

function timedOut(command: HostCommand): Error {
  return new SandlotError("task", `${command.argv[0]} did not end within ${command.timeoutMs} ms on this host`);
}

function tooMuch(program: string, maxBytes: number): Error {
  return new SandlotError("task", `${program} printed more than ${maxBytes} bytes`);
}

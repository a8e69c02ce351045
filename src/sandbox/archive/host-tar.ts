import { type ChildProcess, spawn } from "node:child_process";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { SandlotError } from "../../errors.ts";

const ENV = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };

/** What this host's own program prints in a folder. That it failed comes at the end, as fault `sandbox` with its words. */
export async function* readFrom(
  folder: string,
  argv: readonly [string, ...string[]],
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const child = spawn(argv[0], argv.slice(1), { cwd: folder, env: ENV, stdio: ["ignore", "pipe", "pipe"] });
  const ended = endOf(child, argv);
  ended.catch(() => undefined); // heard below, when all it printed is read
  const stop = (): void => void child.kill("SIGKILL");
  signal.addEventListener("abort", stop, { once: true });
  try {
    yield* child.stdout;
    await ended;
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener("abort", stop);
    stop();
    await ended.catch(() => undefined);
  }
}

/** Feeds this host's own program, in a folder, what comes from `source`. Resolves at its end; fault `sandbox` with its words when it failed. */
export async function writeTo(
  folder: string,
  argv: readonly [string, ...string[]],
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const child = spawn(argv[0], argv.slice(1), { cwd: folder, env: ENV, stdio: ["pipe", "ignore", "pipe"] });
  const ended = endOf(child, argv);
  ended.catch(() => undefined);
  let broken: { readonly error: unknown } | undefined;
  const watched = async function* () {
    try {
      yield* source;
    } catch (error) {
      broken = { error };
      throw error;
    }
  };
  try {
    await pipeline(Readable.from(watched()), child.stdin, { signal });
    await ended;
  } catch (error) {
    child.kill("SIGKILL");
    signal.throwIfAborted();
    if (broken !== undefined) throw broken.error;
    await ended; // its own words, when it was the one that left
    throw error;
  }
}

function endOf(child: ChildProcess, argv: readonly string[]): Promise<void> {
  let words = "";
  child.stderr?.on("data", (bytes: Buffer) => {
    words = (words + bytes.toString("utf8")).slice(-2_000);
  });
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new SandlotError("sandbox", `${argv[0]} ${why}: ${words.trim()}`));
    child.once("error", (error) => fail(error.message));
    child.once("close", (code, ended) => (code === 0 ? resolve() : fail(`ended with ${code ?? ended}`)));
  });
}

import { spawn } from "node:child_process";
import { once } from "node:events";
import { SandlotError } from "../errors.ts";

export interface LockOptions {
  readonly path: string;
  readonly mode: "exclusive" | "shared";
  /** `false`: give up at once when somebody else holds it. */
  readonly wait: boolean;
  readonly signal?: AbortSignal;
  /** The PATH on which `sh` and `flock` are found. */
  readonly hostPath: string;
}

/**
 * A lock on a file between processes that the kernel releases when this process dies, in whatever way. Node has no flock(2), so a small shell holds it by util-linux `flock`, with its
 * stdin, a pipe from this process, as the leash. The file itself goes away with its last holder; a waiter that
 * was granted a file that is gone from the path tries again. Resolves to undefined only with `wait: false`.
 */
export async function lockFile(options: LockOptions): Promise<AsyncDisposable | undefined> {
  options.signal?.throwIfAborted();
  const flag = (options.mode === "exclusive" ? "-x" : "-s") + (options.wait ? "" : "n");
  const child = spawn("sh", ["-c", HOLD, "sh", options.path, flag], {
    stdio: ["pipe", "pipe", "ignore"],
    env: { PATH: options.hostPath },
    detached: true,
  });
  const exited = once(child, "close");
  exited.catch(() => {});
  child.stdin.on("error", () => {});
  const release = async (): Promise<void> => {
    child.stdin.end();
    await exited.catch(() => {});
  };
  // A shell that waits in flock does not watch its leash: a cancelled wait kills it.
  const abandon = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // Gone already.
    }
  };
  options.signal?.addEventListener("abort", abandon, { once: true });
  try {
    const answer = await firstLine(child);
    options.signal?.throwIfAborted();
    if (answer === "locked") return { [Symbol.asyncDispose]: release };
    if (answer === "busy" && !options.wait) return undefined;
    throw new SandlotError(
      "sandbox",
      `could not lock ${options.path}: expected flock (util-linux) and sh on this host`,
    );
  } catch (error) {
    abandon();
    await exited.catch(() => {});
    throw error;
  } finally {
    options.signal?.removeEventListener("abort", abandon);
  }
}

const HOLD = `
while :; do
  exec 9>>"$1" || exit 1
  flock "$2" 9 || { echo busy; exit 0; }
  [ "/proc/$$/fd/9" -ef "$1" ] && break
done
echo locked
cat >/dev/null
flock -xn 9 && rm -f "$1"
`;

function firstLine(child: ReturnType<typeof spawn>): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    text += chunk.toString("utf8");
    const end = text.indexOf("\n");
    if (end >= 0) resolve(text.slice(0, end));
  });
  child.once("error", reject);
  child.once("close", () => resolve(text.trim()));
  return promise;
}

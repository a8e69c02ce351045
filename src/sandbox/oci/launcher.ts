import { type ChildProcess, spawn } from "node:child_process";
import { extname, join } from "node:path";
import { isErrno } from "../identity.ts";
import { AS_OWN_ROOT } from "./rootless.ts";

/** A program for the launcher to run: its descriptors from 3 on are these files and folders, opened for reading. */
export interface Launch {
  readonly argv: readonly string[];
  readonly open: readonly string[];
  readonly timeoutMs: number;
  /** What the program leaves where only the launcher and its programs look: removed at its end. */
  readonly scratch?: string;
  /** The sandbox that it makes: by this its processes can be found when the launcher is gone. */
  readonly making?: string;
}

export interface Launched {
  /** null when a signal ended it. */
  readonly code: number | null;
  /** At most 64 KiB. */
  readonly stdout: string;
  readonly milliseconds: number;
}

export interface LauncherOptions {
  /** On a hybrid cgroup host both runtimes refuse, or leave folders in, the second hierarchy: it is hidden from them. */
  readonly hideUnified: boolean;
  /** In a user namespace of its own, and with all control groups hidden, which are not its own to use. */
  readonly rootless: boolean;
}

/** The launcher was killed, and with it all that it ran. What was to be run may have begun. */
export class LauncherGone extends Error {
  override readonly name = "LauncherGone";
}

/**
 * The small process in which all programs of this backend are started: in a mount namespace of its own, so that no mount reaches the host, and apart from the
 * server, whose event loop a start would block for a millisecond or more. One that died is made again by the next run; what it had started is ended, so that
 * nothing goes on behind the back of who was told that it failed. (A sandbox leaves its process group when it begins.)
 */
export class Launcher {
  #child: ChildProcess | undefined;
  #waiting = new Map<number, { resolve: (value: Launched) => void; reject: (cause: Error) => void }>();
  #next = 1;
  #closed = false;
  readonly #options: LauncherOptions;

  constructor(options: LauncherOptions) {
    this.#options = options;
  }

  /** Rejects with `LauncherGone` when the launcher is killed meanwhile. */
  run(launch: Launch): Promise<Launched> {
    if (this.#closed) return Promise.reject(new Error("the launcher is closed"));
    const child = this.#child ?? this.#start();
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      // What cannot be sent was for a launcher that is dead: its end, which is told next, answers.
      child.send({ id, ...launch }, () => undefined);
    });
  }

  /** Programs that still run are killed. */
  async close(): Promise<void> {
    this.#closed = true;
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise<void>((resolve) => {
      child.once("exit", () => resolve());
      if (child.connected) child.disconnect();
    });
  }

  #start(): ChildProcess {
    const program = join(import.meta.dirname, `launcher-main${extname(import.meta.filename)}`);
    const { rootless, hideUnified } = this.#options;
    const script = `${rootless ? HIDE_ALL : hideUnified ? HIDE_UNIFIED : ""} exec "$@"`;
    const [unshare, ...user] = rootless ? AS_OWN_ROOT : ["unshare"];
    const inside = ["sh", "-c", script, "launcher", process.execPath, program];
    const child = spawn(unshare, [...user, "--mount", "--propagation", "private", ...inside], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
      env: { PATH: SYSTEM_PATH, LC_ALL: "C" },
      detached: true, // a process group of its own
    });
    const gone = (cause: Error): void => {
      if (child.pid !== undefined) killGroup(child.pid);
      if (this.#child === child) this.#child = undefined;
      const waiting = [...this.#waiting.values()];
      this.#waiting.clear();
      for (const { reject } of waiting) reject(cause);
    };
    child.once("error", (error) =>
      gone(new LauncherGone("the launcher could not be started by unshare", { cause: error })),
    );
    child.once("exit", (code, by) => gone(new LauncherGone(`the launcher ended early (${by ?? `exit code ${code}`})`)));
    child.on("message", (message) => {
      const { id, ...launched } = message as Launched & { id: number }; // only our own launcher-main.ts speaks here
      this.#waiting.get(id)?.resolve(launched);
      this.#waiting.delete(id);
    });
    this.#child = child;
    return child;
  }
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch (error) {
    if (!isErrno(error, "ESRCH")) throw error;
  }
}

const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** Where the second hierarchy of a hybrid host is, and for the launcher a small file system in memory. */
export const UNIFIED = "/sys/fs/cgroup/unified";
const HIDE_UNIFIED =
  "umount /sys/fs/cgroup/unified 2>/dev/null; mount -t tmpfs -o size=1m none /sys/fs/cgroup/unified || exit 1;";
const HIDE_ALL = "mount -t tmpfs -o size=1m none /sys/fs/cgroup || exit 1;";

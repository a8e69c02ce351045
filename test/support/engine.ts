import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "./backends.ts";
import { askEngine } from "./engine-api.ts";

/** A container engine of a test's own: its socket, and its life. */
export interface TestEngine extends AsyncDisposable {
  readonly socket: string;
  /** Ends the daemon at once. */
  kill(): Promise<void>;
  /** Resolves when it takes requests (again). */
  start(): Promise<void>;
}

/** Docker's engine with folders and a socket of its own, no network and no registry. Rejects with the reason where that cannot be had. */
export async function startDockerd({ liveRestore }: { readonly liveRestore: boolean }): Promise<TestEngine> {
  const folder = begin("dockerd");
  const at = (name: string): string => join(folder, name);
  const engine = new Daemon(folder, [
    "dockerd",
    ...["--data-root", at("data"), "--exec-root", at("exec"), "--pidfile", at("pid"), "--host", `unix://${at("sock")}`],
    ...["--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-masq=false"],
    ...(liveRestore ? ["--live-restore"] : []),
  ]);
  await engine.start();
  return engine;
}

/** Podman's socket, which speaks the same interface. `env`: more of its environment. */
export async function startPodman(env: Readonly<Record<string, string>> = {}): Promise<TestEngine> {
  const folder = begin("podman");
  const at = (name: string): string => join(folder, name);
  const engine = new Daemon(
    folder,
    [
      "podman",
      ...["--root", at("data"), "--runroot", at("run"), "--tmpdir", at("tmp"), "--cgroup-manager", "cgroupfs"],
      // crun refuses hosts on which both versions of control groups are mounted.
      ...[
        "--runtime",
        "/usr/sbin/runc",
        "--events-backend",
        "none",
        "system",
        "service",
        "--time",
        "0",
        `unix://${at("sock")}`,
      ],
    ],
    env,
  );
  await engine.start();
  return engine;
}

function begin(program: string): string {
  if (process.getuid?.() !== 0) throw new Error("it takes root to start a container engine");
  try {
    execFileSync("sh", ["-c", `command -v ${program}`]);
  } catch {
    throw new Error(`${program} is not installed`);
  }
  return mkdtempSync(join(tmpdir(), `sandlot-${program}-`));
}

class Daemon implements TestEngine {
  readonly socket: string;
  readonly #folder: string;
  readonly #argv: readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;

  constructor(folder: string, argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.#folder = folder;
    this.#argv = argv;
    this.#env = env;
    this.socket = join(folder, "sock");
  }

  async start(): Promise<void> {
    const log = openSync(join(this.#folder, "log"), "a");
    // Of one that was killed: a dead process that nobody has waited for yet passes for one that runs.
    rmSync(join(this.#folder, "exec/containerd/containerd.pid"), { force: true });
    // It does not outlive the tests, however they end.
    const child = spawn("setpriv", ["--pdeathsig", "TERM", ...this.#argv], {
      cwd: this.#folder, // what it drops lies there
      env: { ...process.env, TMPDIR: this.#folder, ...this.#env }, // Podman 4.3 leaves the archive of every import
      stdio: ["ignore", log, log],
    });
    this.#child = child;
    try {
      await eventually(
        "the engine answers",
        async () => {
          if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
          return askEngine(this.socket, "GET", "/_ping").then(
            () => true,
            () => false,
          );
        },
        60_000,
      );
    } catch (cause) {
      const said = readFileSync(join(this.#folder, "log"), "utf8").slice(-2_000);
      await this[Symbol.asyncDispose]();
      throw new Error(`${this.#argv[0]} does not start: ${said}`, { cause });
    }
  }

  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end("SIGTERM");
    // What it started outlives it: shims, and the daemon below it.
    const ours = execFileSync("sh", [
      "-c",
      `grep -laF ${this.#folder}/ /proc/[0-9]*/cmdline 2>/dev/null || true`,
    ]).toString();
    for (const path of ours.split("\n")) {
      const pid = Number(/^\/proc\/(\d+)\//.exec(path)?.[1]);
      if (pid > 1 && pid !== process.pid) killIfThere(pid);
    }
    const mounts = readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .map((line) => line.split(" ")[4] ?? "");
    for (const mount of mounts.filter((path) => path.startsWith(`${this.#folder}/`)).reverse()) {
      execFileSync("umount", ["-l", mount]);
    }
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10 });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await gone;
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it has ended
  }
}

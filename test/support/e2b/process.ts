import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { PassThrough, type Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { ConnectError, type ServerStream, type Streaming, type Unary } from "./connect.ts";
import { type Exchange, number, strings, text } from "./http.ts";
import type { Machine } from "./machine.ts";
import type { Users } from "./users.ts";

/** How long the ending of a process that nobody was connected to is kept. */
const KEPT_MS = 30_000;

interface Running {
  readonly pid: number;
  readonly outside: number;
  readonly tag: string | undefined;
  readonly config: unknown;
  readonly child: ChildProcess;
  readonly readers: Set<ServerStream>;
  /** Whoever started it hears it from its first byte on. */
  readonly heard: () => void;
  /** The event, once it has ended and its output is read. */
  readonly end: Promise<unknown>;
}

const SIGNALS: Readonly<Record<string, NodeJS.Signals>> = {
  SIGNAL_SIGTERM: "SIGTERM",
  SIGNAL_SIGKILL: "SIGKILL",
};

/** `process.Process` of one machine: output goes to whoever reads at that time and waits for the slowest; what nobody reads is dropped. A signal reaches the leader only. */
export class Processes {
  readonly #machine: Machine;
  readonly #users: Users;
  readonly #env: Readonly<Record<string, string>>;
  readonly #workdir: string | undefined;
  readonly #running = new Map<number, Running>();
  #next = 1_000_000;

  constructor(machine: Machine, users: Users, env: Readonly<Record<string, string>>, workdir: string | undefined) {
    this.#machine = machine;
    this.#users = users;
    this.#env = env;
    this.#workdir = workdir;
  }

  readonly unary: Readonly<Record<string, Unary>> = {
    List: async () => ({
      processes: [...this.#running.values()].map(({ pid, tag, config }) => ({ pid, config, ...(tag && { tag }) })),
    }),
    SendInput: async (message) => {
      const { child } = this.#select(message);
      const input = strings(message["input"])["stdin"];
      if (child.stdin === null) throw new ConnectError("internal", "stdin not enabled or closed");
      const { stdin } = child;
      const data = Buffer.from(input ?? "", "base64");
      await new Promise<void>((resolve, reject) =>
        stdin.write(data, (error) =>
          error ? reject(new ConnectError("internal", `error writing to stdin: ${error.message}`)) : resolve(),
        ),
      );
      return {};
    },
    SendSignal: async (message) => {
      const signal = SIGNALS[text(message["signal"]) ?? ""];
      if (signal === undefined) throw new ConnectError("unimplemented", "invalid signal");
      signalProcess(this.#select(message).outside, signal);
      return {};
    },
    CloseStdin: async (message) => {
      this.#select(message).child.stdin?.end();
      return {};
    },
  };

  readonly streaming: Readonly<Record<string, Streaming>> = {
    Start: async (message, exchange, stream) => this.#follow(await this.#start(message, exchange), exchange, stream),
    Connect: async (message, exchange, stream) => this.#follow(this.#select(message), exchange, stream),
  };

  async #start(message: Record<string, unknown>, { request }: Exchange): Promise<Running> {
    const config = { ...(message["process"] as object | undefined) } as Record<string, unknown>; // decoded JSON
    const user = await this.#users.of(request.headers.authorization);
    const cmd = text(config["cmd"]);
    if (cmd === undefined) throw new ConnectError("invalid_argument", "process.cmd is missing");
    const args = Array.isArray(config["args"]) ? config["args"].map(String) : [];
    const wanted = text(config["cwd"]);
    const cwd = wanted === undefined ? (this.#workdir ?? user.home) : new URL(wanted, `file://${user.home}/`).pathname;
    if (cwd !== "/" && (await this.#machine.run(["/bin/bash", "-c", 'test -d "$1"', "test", cwd])).code !== 0) {
      throw new ConnectError("invalid_argument", `cwd '${cwd}' does not exist`);
    }
    const env = {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      ...{ HOME: user.home, USER: user.name, LOGNAME: user.name },
      ...this.#env,
      ...strings(config["envs"]),
    };
    const child = this.#machine.spawn([cmd, ...args], { user, cwd, env, stdin: message["stdin"] ? "pipe" : "ignore" });
    child.stdin?.on("error", () => undefined);
    const closed = once(child, "close");
    // Held at once: what a child printed that has ended, and that nobody reads, is thrown away.
    const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => stream?.pipe(new PassThrough()) ?? null);
    const readers = new Set<ServerStream>();
    const { promise: begun, resolve: heard } = Promise.withResolvers<void>();
    const drained = begun.then(() =>
      Promise.all([this.#deliver(stdout ?? null, "stdout", readers), this.#deliver(stderr ?? null, "stderr", readers)]),
    );
    const leader = await this.#machine.leaderOf(child);
    const pid = leader?.inside ?? this.#next++;
    const running: Running = {
      ...{ pid, outside: leader?.outside ?? 0, tag: text(message["tag"]), config, child, readers, heard },
      end: drained.then(() => closed).then(([code, signal]) => ending(code, signal)),
    };
    this.#running.set(pid, running);
    void running.end
      .then(() => sleep(KEPT_MS, undefined, { ref: false }))
      .then(() => this.#running.get(pid) === running && this.#running.delete(pid));
    return running;
  }

  async #deliver(from: Readable | null, name: "stdout" | "stderr", readers: Set<ServerStream>): Promise<void> {
    if (from === null) return;
    for await (const data of from) {
      const message = { event: { data: { [name]: Buffer.from(data).toString("base64") } } };
      await Promise.all([...readers].map((reader) => reader.send(message)));
    }
  }

  async #follow(running: Running, { request }: Exchange, stream: ServerStream): Promise<void> {
    const timeoutMs = Number(request.headers["connect-timeout-ms"] ?? 0);
    const pingMs = Number(request.headers["keepalive-ping-interval"] ?? 90) * 1_000;
    const gone = new Promise<"gone">((resolve) => stream.onClose(() => resolve("gone")));
    const late = new AbortController();
    const ping = setInterval(() => void stream.send({ event: { keepalive: {} } }), pingMs);
    try {
      await stream.send({ event: { start: { pid: running.pid } } });
      running.readers.add(stream);
      running.heard();
      const timeout =
        timeoutMs > 0 ? sleep(timeoutMs, "late" as const, { signal: late.signal }).catch(() => gone) : gone;
      const end = await Promise.race([running.end.then((event) => ({ event })), gone, timeout]);
      if (typeof end === "object") await stream.send(end);
      else if (end === "late") {
        signalProcess(running.outside, "SIGKILL");
        throw new ConnectError("deadline_exceeded", "context deadline exceeded");
      }
    } finally {
      clearInterval(ping);
      late.abort();
      running.readers.delete(stream);
    }
  }

  #select(message: Record<string, unknown>): Running {
    const selector = { ...(message["process"] as object | undefined) } as Record<string, unknown>; // decoded JSON
    const [pid, tag] = [number(selector["pid"]), text(selector["tag"])];
    const found = [...this.#running.values()].find((one) => (pid === undefined ? one.tag === tag : one.pid === pid));
    if (found === undefined) throw new ConnectError("not_found", `process with pid ${pid ?? tag} not found`);
    return found;
  }
}

function ending(code: unknown, signal: unknown): unknown {
  if (typeof signal === "string") {
    return { end: { exitCode: -1, exited: false, status: `signal: ${signal.slice(3).toLowerCase()}` } };
  }
  const status = `exit status ${String(code)}`;
  return { end: { exitCode: code, exited: true, status, ...(code !== 0 && { error: status }) } };
}

function signalProcess(outside: number, signal: NodeJS.Signals): void {
  if (outside <= 0) return;
  try {
    process.kill(outside, signal);
  } catch {
    // It has ended.
  }
}

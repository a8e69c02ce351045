import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, constants, createWriteStream, mkdtempSync, openSync, rmSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex, type Readable, type Writable } from "node:stream";
import { byteStreamDial, secretBytes } from "../src/sandbox/runner/byte-stream.ts";
import { RunnerClient } from "../src/sandbox/runner/client.ts";
import { RunnerGone } from "../src/sandbox/runner/line.ts";
import { binary, build, startContainer } from "./started.ts";

/** A real runner with its frames on standard input and output, behind an engine that carries them to whoever is attached, and drops what nobody hears. */
export interface StreamedRunner extends AsyncDisposable {
  readonly engine: Engine;
  readonly secret: Buffer;
  readonly folder: string;
  connect(): Promise<RunnerClient>;
}

/** `process`: no PID 1, for benign commands only. `container`: PID 1 of one. `isolated`: in namespaces that it makes itself. */
export async function startStreamedRunner(kind: "process" | "container" | "isolated"): Promise<StreamedRunner> {
  build();
  const folder = mkdtempSync(join(tmpdir(), "runner-test-"));
  const { engine, end } = await starts[kind](folder);
  const secret = randomBytes(secretBytes);
  engine.write(secret);
  const clients: RunnerClient[] = [];
  return {
    engine,
    secret,
    folder,
    async connect() {
      const client = await RunnerClient.connect(
        byteStreamDial(() => engine.attach(), secret),
        {
          spillPrefix: `${folder}/spill-`,
        },
      );
      clients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) await client.close();
      await end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const starts = {
  process: (folder: string) => startAs(["stream"], folder),
  isolated: (folder: string) => startAs(["isolate", "none"], folder),
  /** Its ends are FIFOs that stay open here: the runtime that starts it leaves. */
  async container(folder: string) {
    const [input, output] = [join(folder, "in"), join(folder, "out")];
    execFileSync("mkfifo", [input, output]);
    const [here, there] = [openSync(input, "r+"), openSync(output, "r+")];
    const limits = { pids: 100, memoryMiB: 256 };
    const container = await startContainer(folder, limits, ["/init", "stream"], (command) =>
      spawn("sh", ["-c", command], { stdio: [here, there, "ignore", "ignore"] }),
    );
    const reader = new Socket({ fd: openSync(output, constants.O_RDONLY | constants.O_NONBLOCK), readable: true });
    closeSync(there);
    return { engine: new Engine(createWriteStream("", { fd: here }), reader), end: () => container.remove() };
  },
};

async function startAs(args: readonly string[], cwd: string) {
  const child = spawn(binary, args, { cwd, stdio: ["pipe", "pipe", "ignore"] });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  return {
    engine: engineOf(child),
    end: async () => {
      child.kill("SIGTERM");
      await exited;
    },
  };
}

function engineOf(child: ChildProcess): Engine {
  if (!child.stdin || !child.stdout) throw new Error("the runner has no streams");
  return new Engine(child.stdin, child.stdout);
}

export class Engine {
  readonly attached = new Set<Duplex>();
  /** Called with what the runner writes, before anybody who is attached has it. */
  onBytes: (bytes: Buffer) => void = () => undefined;
  #gone = false;
  readonly #input: Writable;
  readonly #output: Readable;

  constructor(input: Writable, output: Readable) {
    this.#input = input.on("error", () => undefined);
    this.#output = output.on("data", (bytes: Buffer) => {
      this.onBytes(bytes);
      for (const each of this.attached) if (!each.push(bytes)) output.pause();
    });
    output.on("end", () => {
      this.#gone = true;
      this.cut();
    });
  }

  write(bytes: Uint8Array): void {
    this.#input.write(bytes);
  }

  attach(): Promise<Duplex> {
    if (this.#gone) return Promise.reject(new RunnerGone("it has ended"));
    const each: Duplex = new Duplex({
      read: () => void this.#output.resume(),
      write: (bytes: Buffer, _encoding, done) => void this.#input.write(bytes, () => done()),
      destroy: (error, done) => {
        this.attached.delete(each);
        this.#output.resume();
        done(error);
      },
    });
    this.attached.add(each);
    return Promise.resolve(each);
  }

  /** Whoever is attached loses its connection. */
  cut(): void {
    for (const each of this.attached) each.destroy();
  }
}

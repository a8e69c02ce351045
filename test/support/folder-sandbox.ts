import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { ExecOptions, ExecResult, FileContent } from "../../src/sandbox/sandbox.ts";
import type { OutputCaps, StepSandbox } from "../../src/tools/tool.ts";

/** What a server keeps of the output when its settings do not say. */
export const CAPS: OutputCaps = { keepBytes: 1 << 20, spillBytes: 64 << 20 };

/** Real processes and files in a temporary folder, without isolation, for tests of tools with tame commands. Dispose removes the folder. */
export class FolderSandbox implements StepSandbox, AsyncDisposable {
  readonly workdir: string;
  readonly env = { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: "/nonexistent", LANG: "C.UTF-8", BASE: "base" };
  readonly limits = { memoryMiB: 64, cpuMilli: 1000, pids: 100, diskMiB: 64 };
  readonly #scratch: string;
  #calls = 0;

  private constructor(folder: string) {
    this.workdir = join(folder, "work");
    this.#scratch = folder;
  }

  static async create(): Promise<FolderSandbox> {
    const sandbox = new FolderSandbox(await mkdtemp(join(tmpdir(), "sandlot-tools-")));
    await mkdir(sandbox.workdir);
    return sandbox;
  }

  locate(path: string): string {
    return path;
  }

  async exec(argv: readonly string[], options: Omit<ExecOptions, "callId" | "signal">): Promise<ExecResult> {
    const folder = join(this.#scratch, `call.${this.#calls}`);
    this.#calls += 1;
    mkdirSync(folder);
    const path = (name: string): string => join(folder, name);
    writeFileSync(path("stdin"), options.stdin ?? "");
    const files = {
      stdin: openSync(path("stdin"), "r"),
      output: openSync(path("output"), "a"),
      state: openSync(path("state"), "w+"),
    };
    const began = performance.now();
    const child = this.#spawn(argv, options, files);
    const ended = endOf(child);
    for (const file of Object.values(files)) closeSync(file);
    let timedOut: ExecResult["timedOut"] = false;
    const timer = setTimeout(() => {
      timedOut = "command";
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, options.timeoutMs);
    const end = await ended.finally(() => clearTimeout(timer));
    const [data, state] = [readFileSync(path("output")), readFileSync(path("state")).subarray(0, 256 << 10)];
    return {
      ...end,
      output: data.length === 0 ? [] : [{ offset: 0, stream: "stdout", data }],
      outputBytes: data.length,
      truncated: false,
      timedOut,
      interrupted: false,
      oomKills: 0,
      durationMs: performance.now() - began,
      ...(options.captureState ? { state } : {}),
    };
  }

  async readFile(path: string, { maxBytes = Number.POSITIVE_INFINITY } = {}): Promise<FileContent> {
    const stat = await lstat(path).catch(() => undefined);
    const none = { sizeBytes: 0, data: Buffer.alloc(0) };
    if (!stat) return { type: "missing", ...none };
    if (stat.isDirectory()) {
      const entries = await readdir(path, { withFileTypes: true });
      const data = Buffer.from(entries.map((entry) => `${entry.name}${entry.isDirectory() ? "/" : ""}\n`).join(""));
      return { type: "directory", sizeBytes: data.length, data };
    }
    if (!stat.isFile()) return { type: "other", ...none };
    return { type: "file", sizeBytes: stat.size, data: (await readFile(path)).subarray(0, maxBytes) };
  }

  async writeFile(path: string, data: Uint8Array): Promise<{ readonly failure?: string }> {
    if (existsSync(path) && !(await lstat(path)).isFile()) return { failure: "it is not a regular file" };
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, data);
    return {};
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#scratch, { recursive: true, force: true });
  }

  #spawn(
    [program = "", ...rest]: readonly string[],
    options: Omit<ExecOptions, "callId">,
    { stdin, output, state }: { readonly stdin: number; readonly output: number; readonly state: number },
  ): ChildProcess {
    const cwd = options.cwd ?? this.workdir;
    const inherited = options.captureState ? [...Array<"ignore">(6).fill("ignore"), state] : [];
    return spawn(program, rest, {
      cwd: existsSync(cwd) ? cwd : "/",
      env: options.env ?? this.env,
      detached: true,
      stdio: [stdin, output, output, ...inherited],
    });
  }
}

/** Of the process alone: a background process of it may go on. */
function endOf(child: ChildProcess): Promise<Pick<ExecResult, "exitCode" | "signal">> {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) =>
      resolve(code === null ? { signal: signal === null ? 0 : constants.signals[signal] } : { exitCode: code }),
    );
  });
}

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RunnerClient, type RunnerExecResult } from "../src/sandbox/runner/client.ts";
import { socketDial } from "../src/sandbox/runner/socket.ts";
import type { ExecOptions } from "../src/sandbox/sandbox.ts";

const folder = import.meta.dirname;
export const binary = join(folder, "sandlot-runner");

/** A real runner for a test, with its first client. Disposing leaves no process, no mount, no cgroup, no folder. */
export interface StartedRunner extends AsyncDisposable {
  readonly client: RunnerClient;
  readonly socketPath: string;
  /** A folder of the runner's, writable; the same path inside. */
  readonly folder: string;
  readonly pid: number;
  connect(): Promise<RunnerClient>;
}

/** As the `process` backend starts it: no PID 1, no isolation. For benign commands only. */
export async function startProcessRunner(): Promise<StartedRunner> {
  build();
  const root = mkdtempSync(join(tmpdir(), "runner-test-"));
  const child = withControl(root, (control) =>
    spawn(binary, [], { cwd: root, stdio: ["ignore", "ignore", "ignore", control], detached: true }),
  );
  const exited = new Promise((resolve) => child.once("exit", resolve));
  return started(root, child.pid ?? 0, async (client) => {
    await client.shutdown();
    await exited;
  });
}

/** Why hostile commands cannot be tried here; undefined when they can. */
export function noContainerBecause(): string | undefined {
  if (process.getuid?.() !== 0) return "it takes root to start a container";
  try {
    execFileSync("crun", ["--version"]);
  } catch {
    return "crun is not installed";
  }
  return undefined;
}

/** As the `oci` backend starts it: PID 1 of a container with limits, whose root file system is an empty folder with the host's programs, read-only. */
export async function startContainedRunner(limits: Limits): Promise<StartedRunner> {
  const root = mkdtempSync(join(tmpdir(), "runner-test-"));
  const container = await withControl(root, (control) =>
    startContainer(root, limits, ["/init"], (command) =>
      spawn("sh", ["-c", command], { stdio: ["ignore", "ignore", "ignore", control] }),
    ),
  );
  return started(root, container.pid, async (client) => {
    await client.close();
    await container.remove();
  });
}

export interface Limits {
  readonly pids: number;
  readonly memoryMiB: number;
}

/** `start` runs the command of a runtime that leaves once the container runs; descriptors 0 to 3 that it gives it are those of PID 1. */
export async function startContainer(
  root: string,
  limits: Limits,
  args: readonly string[],
  start: (command: string) => ChildProcess,
): Promise<{ readonly pid: number; remove(): Promise<void> }> {
  build();
  const id = root.slice(root.lastIndexOf("/") + 1);
  makeBundle(join(root, "bundle"), id, args, limits);
  const inNamespace = (command: string) => `exec unshare -m --propagation private sh -c '
    umount /sys/fs/cgroup/unified 2>/dev/null && mount -t tmpfs -o size=1m none /sys/fs/cgroup/unified
    exec crun --root ${root}/state ${command} 2>>${root}/crun.log'`;
  const run = `run -d --preserve-fds 1 --pid-file ${root}/pid --bundle ${root}/bundle ${id}`;
  if ((await ended(start(inNamespace(run)))) !== 0)
    throw new Error(`crun: ${readFileSync(`${root}/crun.log`, "utf8")}`);
  return {
    pid: Number(readFileSync(`${root}/pid`, "utf8")),
    async remove() {
      await ended(spawn("sh", ["-c", inNamespace(`delete -f ${id}`)], { stdio: "ignore" }));
    },
  };
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once("exit", resolve));
}

/** Runs a bash script with a fresh call id. */
export function bash(
  client: RunnerClient,
  script: string,
  options: Partial<ExecOptions> = {},
): Promise<RunnerExecResult> {
  return client.exec(["/bin/bash", "--noprofile", "--norc", "-c", script], {
    callId: freshId(),
    cwd: "/tmp",
    env: { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: "/tmp" },
    timeoutMs: 120_000,
    ...options,
  });
}

export function freshId(): string {
  return `call-${counter++}`;
}

export function text(result: RunnerExecResult, stream?: "stdout" | "stderr"): string {
  const chunks = result.output.filter((chunk) => stream === undefined || chunk.stream === stream);
  return Buffer.concat(chunks.map((chunk) => chunk.data)).toString();
}

/** Looks again until it is true, or fails after a while. */
export async function eventually(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 60_000; !(await isTrue()); ) {
    if (Date.now() > deadline) throw new Error(`it never came true that ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

let counter = 0;

export function build(): void {
  const sources = readdirSync(folder).filter((name) => /\.[ch]$/.test(name));
  const newest = Math.max(...sources.map((name) => statSync(join(folder, name)).mtimeMs));
  if (!existsSync(binary) || statSync(binary).mtimeMs < newest)
    execFileSync(join(folder, "build"), { stdio: "inherit" });
}

function withControl<T>(root: string, start: (control: number) => T): T {
  mkdirSync(join(root, "control"));
  const control = openSync(join(root, "control"), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return start(control);
  } finally {
    closeSync(control);
  }
}

async function started(
  root: string,
  pid: number,
  end: (client: RunnerClient) => Promise<void>,
): Promise<StartedRunner> {
  const socketPath = join(root, "control", "sock");
  const client = await RunnerClient.connect(socketDial(socketPath, 60_000), { spillPrefix: "/tmp/spill-" });
  const others: RunnerClient[] = [];
  return {
    client,
    socketPath,
    folder: root,
    pid,
    async connect() {
      const other = await RunnerClient.connect(socketDial(socketPath));
      others.push(other);
      return other;
    },
    async [Symbol.asyncDispose]() {
      for (const other of others) await other.close();
      await end(client);
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function makeBundle(bundle: string, id: string, args: readonly string[], limits: Limits): void {
  for (const name of ["usr", "etc", "tmp", "proc", "dev", "root"])
    mkdirSync(join(bundle, "rootfs", name), { recursive: true });
  for (const name of ["bin", "lib", "lib64", "sbin"]) symlinkSync(`usr/${name}`, join(bundle, "rootfs", name));
  writeFileSync(join(bundle, "rootfs", "init"), "");
  const capabilities = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"].map(
    (name) => `CAP_${name}`,
  );
  const bind = (source: string, destination: string) => ({
    source,
    destination,
    type: "bind",
    options: ["rbind", "ro", "nosuid"],
  });
  const config = {
    ociVersion: "1.0.2",
    process: {
      user: { uid: 0, gid: 0 },
      args,
      env: ["SECRET_OF_THE_BACKEND=1"],
      cwd: "/",
      noNewPrivileges: true,
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
    },
    root: { path: "rootfs" },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=16m"] },
      bind("/usr", "/usr"),
      bind(binary, "/init"),
    ],
    linux: {
      cgroupsPath: `/${id}`,
      namespaces: ["pid", "mount", "network", "ipc", "uts"].map((type) => ({ type })),
      resources: { pids: { limit: limits.pids }, memory: { limit: limits.memoryMiB * 1024 * 1024 } },
      maskedPaths: ["/proc/kcore", "/proc/keys"],
    },
  };
  writeFileSync(join(bundle, "config.json"), JSON.stringify(config));
}

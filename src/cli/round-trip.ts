import { randomBytes } from "node:crypto";
import { SandlotError } from "../errors.ts";
import type { Backend, Limits, Rootfs, Sandbox } from "../sandbox/sandbox.ts";

const TRIAL_LIMITS: Limits = { memoryMiB: 128, cpuMilli: 1_000, pids: 64, diskMiB: 64 };
const FILE_BYTES = 1 << 20;
const COMMAND_MS = 60_000;
const CREATE_MS = 10 * 60_000;

/** Milliseconds of each part of the life of a sandbox. */
export interface RoundTrip {
  readonly create: number;
  readonly execute: number;
  /** 1 MiB there and back. */
  readonly file: number;
  /** Until processes, mounts and bytes are gone. */
  readonly release: number;
}

/** A sandbox from its creation until nothing is left of it, with a command and a file between. Fault `sandbox` says which of them did not hold; nothing stays behind. */
export async function roundTrip(backend: Backend, id: string, rootfs: Rootfs): Promise<RoundTrip> {
  const clock = stopwatch();
  const spec = { id, rootfs, layers: [], binds: [], views: [], workdir: "/", env: { PATH }, limits: TRIAL_LIMITS };
  const sandbox = await backend.create({ ...spec, network: "none" }, AbortSignal.timeout(CREATE_MS));
  let times: Omit<RoundTrip, "release">;
  try {
    const create = clock();
    await executes(sandbox);
    const execute = clock();
    await keepsFile(sandbox);
    times = { create, execute, file: clock() };
  } finally {
    await sandbox.dispose();
  }
  const release = clock();
  if ((await backend.list()).includes(id)) throw broken("after its release the sandbox is still listed");
  return { ...times, release };
}

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Output, errors and exit code come back as they are. */
async function executes(sandbox: Sandbox): Promise<void> {
  const argv = ["sh", "-c", "echo out; echo err >&2; exit 7"];
  const { exitCode, output, note } = await sandbox.exec(argv, { callId: "doctor", timeoutMs: COMMAND_MS });
  const printed = (stream: "stdout" | "stderr"): string =>
    Buffer.concat(output.filter((chunk) => chunk.stream === stream).map(({ data }) => data)).toString();
  const got = `${JSON.stringify(printed("stdout"))}, ${JSON.stringify(printed("stderr"))}, exit code ${exitCode}`;
  if (got === '"out\\n", "err\\n", exit code 7') return;
  throw broken(`a command that prints "out", "err" and ends with 7 came back as ${got} ${note ?? ""}`);
}

async function keepsFile(sandbox: Sandbox): Promise<void> {
  const path = sandbox.locate("/tmp/sandlot-doctor");
  const written = randomBytes(FILE_BYTES);
  const { failure } = await sandbox.writeFile(path, written, { callId: "write" });
  if (failure !== undefined) throw broken(`a file of 1 MiB cannot be written: ${failure}`);
  const { type, data } = await sandbox.readFile(path, { callId: "read" });
  if (type !== "file" || !written.equals(data)) throw broken(`a file of 1 MiB came back as ${type} with other bytes`);
}

function broken(what: string): SandlotError {
  return new SandlotError("sandbox", what);
}

/** Milliseconds since the last time it was asked. */
function stopwatch(): () => number {
  let last = performance.now();
  return () => {
    const now = performance.now();
    const since = now - last;
    last = now;
    return since;
  };
}

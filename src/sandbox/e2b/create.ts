import { randomBytes } from "node:crypto";
import { SandlotError } from "../../errors.ts";
import { byteStreamDial, secretBytes } from "../runner/byte-stream.ts";
import { RunnerClient } from "../runner/client.ts";
import type { Enforced, Enforcement, SandboxSpec } from "../sandbox.ts";
import { BOOT } from "./boot.ts";
import type { Telling } from "./envd.ts";
import { attach, type End } from "./line.ts";
import type { Machine } from "./machine.ts";
import type { StartedRecord } from "./record.ts";

/**
 * Starts the sandbox in a machine that is furnished; what later servers need of it. With `renames` on folders that lie below can be renamed, at the price that only an overlay can follow: a layer
 * is built with it off.
 */
export async function boot(
  machine: Machine,
  spec: SandboxSpec,
  renames: "on" | "off",
): Promise<StartedRecord["runner"]> {
  const { network, limits, views, binds } = spec;
  const words = [limits.memoryMiB, limits.cpuMilli, limits.pids, limits.diskMiB, renames].map(String);
  const mountPoints = [...views.map(({ at }) => at), "--", ...binds.map(({ target }) => target)];
  const telling = await machine.envd.start(["/bin/bash", "-c", BOOT, "boot", network, ...words, ...mountPoints], true);
  const late = setTimeout(() => telling.close(), machine.envd.waits.createMs);
  try {
    const { pid, kept } = await begun(telling);
    const secret = randomBytes(secretBytes);
    await machine.envd.sendInput(pid, secret);
    return { pid, secret: secret.toString("base64"), enforced: enforcedBy(kept.split(" ")) };
  } finally {
    clearTimeout(late);
    telling.close();
  }
}

/** Waits for the line in which the sandbox says what it could do. */
async function begun(telling: Telling): Promise<{ readonly pid: number; readonly kept: string }> {
  let [pid, said, status] = [0, "", ""];
  for await (const event of telling) {
    if (event.type === "start") pid = event.pid;
    else if (event.type === "end") status = ` (${event.status})`;
    else said = (said + event.data.toString("utf8")).slice(-WORDS);
    const kept = /^sandlot:(.*)$/m.exec(said)?.[1];
    if (kept !== undefined) return { pid, kept };
    if (event.type === "end") break;
  }
  throw new SandlotError("sandbox", `a sandbox could not be made in its machine${status}: ${said.trim()}`);
}

/** Takes hold of the runner; `end` tells when it, or its machine, is found to be gone. */
export function meet(machine: Machine, { pid, secret }: StartedRecord["runner"], end: End): Promise<RunnerClient> {
  const process = { envd: machine.envd, pid, exists: () => machine.exists(), end };
  return RunnerClient.connect(byteStreamDial(() => attach(process), Buffer.from(secret, "base64")));
}

function enforcedBy(kept: readonly string[]): Enforced {
  const has = (...words: string[]): Enforcement => (words.some((word) => kept.includes(word)) ? "HARD" : "NONE");
  return { memoryMiB: has("memory"), cpuMilli: has("cpu"), pids: has("pids"), diskMiB: has("disk", "disk-in-memory") };
}

const WORDS = 4_000;

import { stat } from "node:fs/promises";
import { SandlotError } from "../errors.ts";
import type { Bind, Limits, Sandbox } from "../sandbox/sandbox.ts";
import { decodeStrictly } from "../verdict/python-text.ts";
import type { Source } from "./fresh.ts";
import { placeFile, placeFiles } from "./hidden-files.ts";
import { refuseHostKills } from "./host-pressure.ts";
import type { OfficialRun } from "./official.ts";
import type { GraderSpec, HiddenFile, Reading } from "./spec.ts";

/** What the rule judges. `unreadable`: the data set's own program does not read what the tests wrote, which is the doing of who wrote it. */
export type Evidence =
  | { readonly kind: "text"; readonly data: Uint8Array }
  | { readonly kind: "unreadable"; readonly reason: string };

export interface EvidenceOptions {
  readonly source: Source;
  readonly newId: () => string;
  readonly limits: Limits;
  readonly signal: AbortSignal;
}

type CompleteRun = Extract<OfficialRun, { kind: "complete" }>;

/** The log, or the results as JSON, or what the task's own program makes of them. */
export async function evidenceOf(
  { log, results }: CompleteRun,
  { reading, results: paths = [] }: GraderSpec,
  options: EvidenceOptions,
): Promise<Evidence> {
  if (reading !== undefined) {
    const inputs = paths.length === 0 ? [log] : results.map(({ data }) => data ?? new Uint8Array());
    return readWith(reading, inputs, options);
  }
  if (paths.length === 0) return { kind: "text", data: log };
  // What is not UTF-8 says nothing, which is not the same as no file.
  const texts = results.map(({ path, data }) => [path, data === undefined ? null : (decodeStrictly(data) ?? "")]);
  return { kind: "text", data: Buffer.from(JSON.stringify(Object.fromEntries(texts))) };
}

const FOLDER = "/reading";
const OUTPUT = `${FOLDER}/out.json`;
const TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
/** By which such a program says that it is itself broken, whatever the tests wrote. */
export const BROKEN_PROGRAM = 3;

/** A sandbox of this host's own system folders, in which nothing of the submission has ever run. */
async function readWith(
  reading: Reading,
  inputs: readonly Uint8Array[],
  { source, newId, limits, signal }: EvidenceOptions,
): Promise<Evidence> {
  const plain = { rootfs: { type: "host" }, layers: [], views: [], workdir: "/", network: "none" } as const;
  const env = { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: "/root", LANG: "C.UTF-8", PYTHONDONTWRITEBYTECODE: "1" };
  const { binds, files } = await foldersApart(reading.files);
  const sandbox = await source.obtain({ id: newId(), ...plain, binds, env, limits }, signal);
  try {
    await placeFiles(sandbox, files, signal);
    for (const [index, data] of inputs.entries()) await placeFile(sandbox, `${FOLDER}/in/${index}`, data, signal);
    return await run(sandbox, reading, signal);
  } finally {
    void source.discard(sandbox);
  }
}

/** Folders are shown, not copied: a harness has thousands of files. */
async function foldersApart(all: Reading["files"]): Promise<{ binds: Bind[]; files: HiddenFile[] }> {
  const binds: Bind[] = [];
  const files: HiddenFile[] = [];
  for (const file of all) {
    const isFolder = "from" in file && ((await stat(file.from).catch(() => undefined))?.isDirectory() ?? false);
    if (isFolder) binds.push({ source: file.from, target: file.path });
    else files.push(file);
  }
  return { binds, files };
}

async function run(sandbox: Sandbox, { argv }: Reading, signal: AbortSignal): Promise<Evidence> {
  const located = argv.map((word) => (word.startsWith(`${FOLDER}/`) ? sandbox.locate(word) : word));
  const result = await sandbox.exec(located, { callId: "read", timeoutMs: TIMEOUT_MS, keepBytes: 64 * 1024, signal });
  refuseHostKills(result);
  const said = Buffer.concat(result.output.map(({ data }) => data))
    .toString("utf8")
    .slice(-2000);
  if (result.exitCode === 126 || result.exitCode === 127 || result.exitCode === BROKEN_PROGRAM) {
    const why = result.exitCode === BROKEN_PROGRAM ? "is broken" : `cannot be run: it needs ${argv[0]} on this host`;
    throw new SandlotError("task", `the program that reads the task's logs ${why}\n${said}`, {
      field: "grader.reading",
    });
  }
  if (result.exitCode !== 0) {
    const how = result.timedOut === false ? "stops" : `does not end within ${TIMEOUT_MS} ms`;
    return { kind: "unreadable", reason: `the program that reads the task's logs ${how} at what the tests wrote` };
  }
  const output = await sandbox.readFile(OUTPUT, { callId: "output", maxBytes: MAX_OUTPUT_BYTES + 1, signal });
  if (output.type === "file" && output.sizeBytes <= MAX_OUTPUT_BYTES) return { kind: "text", data: output.data };
  return {
    kind: "unreadable",
    reason: "the program that reads the task's logs left no result, or one that is too large",
  };
}

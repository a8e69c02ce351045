import { createHash, randomBytes } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { SandlotError } from "../../errors.ts";
import { readFrom } from "../archive/host-tar.ts";
import { packLayer } from "../archive/pack.ts";
import { filterTar } from "../archive/tar.ts";
import type { Bind, SandboxSpec } from "../sandbox.ts";
import type { Account } from "./account.ts";
import { APPLY, CLAIM, PLACE, SETTLE } from "./boot.ts";
import { ServiceError } from "./control.ts";
import type { Machine } from "./machine.ts";
import type { Origin } from "./templates.ts";

export interface PreparedOptions {
  readonly account: Account;
  readonly instance: string;
  readonly runnerPath: string;
  /** Where it is written down which snapshots there are. */
  readonly file: string;
  /** A machine from this origin, for the time of `work`. */
  readonly withMachine: <T>(origin: Origin, work: (machine: Machine) => Promise<T>) => Promise<T>;
}

interface Kept {
  readonly snapshotId: string;
  readonly layers: readonly string[];
}

/** Origins with an environment's layers in them: made once, as snapshots, where the service has those. */
export class Prepared {
  readonly #options: PreparedOptions;
  readonly #making = new Map<string, Promise<Origin | undefined>>();
  #kept: Map<string, Kept> | undefined;
  #snapshots = true;

  constructor(options: PreparedOptions) {
    this.#options = options;
  }

  /** Undefined where there is nothing to prepare, or the service has no snapshots: then `furnish` a machine of `origin`. */
  async originOf(origin: Origin, spec: SandboxSpec): Promise<Origin | undefined> {
    if (spec.layers.length === 0 || !this.#snapshots) return undefined;
    const key = await this.#keyOf(origin, spec);
    const making = this.#making.get(key) ?? this.#find(key, origin, spec);
    this.#making.set(key, making);
    making.catch(() => this.#making.delete(key));
    return making;
  }

  /** Forgets a snapshot that the service does not have any more. */
  async forget(origin: Origin): Promise<void> {
    const kept = await this.#all();
    for (const [key, { snapshotId }] of kept) {
      if (snapshotId !== origin.templateId) continue;
      kept.delete(key);
      this.#making.delete(key);
    }
    await this.#write();
  }

  /** Puts the runner, the layers and the binds of a spec into a machine. */
  async furnish(machine: Machine, spec: SandboxSpec): Promise<void> {
    const { runnerPath } = this.#options;
    await machine.run(CLAIM, machine.lent.sandboxId);
    await machine.upload(`${PLACE}/runner`, () => createReadStream(runnerPath));
    for (const layer of spec.layers) await applyLayer(machine, layer);
    for (const [at, bind] of spec.binds.entries()) await placeBind(machine, bind, `${PLACE}/binds/${at}`);
    await machine.run(SETTLE, String(spec.limits.diskMiB));
  }

  /** Removes snapshots whose layers are gone. The service may refuse, as E2B does while a machine that was made from one lives: then it is asked again at the next start. */
  async sweep(): Promise<void> {
    const kept = await this.#all();
    for (const [key, { snapshotId, layers }] of [...kept]) {
      if (layers.every((layer) => existsSync(layer))) continue;
      try {
        await this.#options.account.deleteTemplate(snapshotId);
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error;
        continue;
      }
      kept.delete(key);
      this.#making.delete(key);
    }
    await this.#write();
  }

  async #find(key: string, origin: Origin, spec: SandboxSpec): Promise<Origin | undefined> {
    const known = (await this.#all()).get(key);
    if (known !== undefined) return { templateId: known.snapshotId, metadata: origin.metadata };
    const snapshotId = await this.#options.withMachine(origin, async (machine) => {
      await this.furnish(machine, spec);
      return this.#snapshot(machine, `sandlot-${this.#options.instance}-${key.slice(0, 24)}`);
    });
    if (snapshotId === undefined) return undefined;
    (await this.#all()).set(key, { snapshotId, layers: spec.layers });
    await this.#write();
    return { templateId: snapshotId, metadata: origin.metadata };
  }

  async #snapshot(machine: Machine, name: string): Promise<string | undefined> {
    const { account } = this.#options;
    try {
      const made = await account.snapshot(machine.lent.sandboxId, name);
      if (made === undefined) this.#snapshots = false;
      return made;
    } catch (error) {
      await account.deleteTemplate(name).catch(() => undefined); // its answer may have been lost
      throw error;
    }
  }

  /** Layers are published by rename and never change: their place and their folder's identity tell them. */
  async #keyOf(origin: Origin, { layers, binds }: SandboxSpec): Promise<string> {
    const identities = await Promise.all([...layers, ...binds.map(({ source }) => source)].map(identityOf));
    const runner = await identityOf(this.#options.runnerPath);
    const decides = [origin, identities, binds.map(({ target }) => target), runner];
    return createHash("sha256").update(JSON.stringify(decides)).digest("hex");
  }

  async #all(): Promise<Map<string, Kept>> {
    if (this.#kept !== undefined) return this.#kept;
    const text = await readFile(this.#options.file, "utf8").catch(() => "[]");
    this.#kept ??= new Map(JSON.parse(text) as [string, Kept][]); // written below only, in a folder of our own
    return this.#kept;
  }

  async #write(): Promise<void> {
    await writeFile(this.#options.file, JSON.stringify([...(await this.#all())]), { mode: 0o600 });
  }
}

async function identityOf(path: string): Promise<readonly unknown[]> {
  const { ino, mtimeMs, size, dev } = await stat(path);
  return [path, dev, ino, mtimeMs, size];
}

async function applyLayer(machine: Machine, layer: string): Promise<void> {
  const { removed, tar } = await packLayer(layer, AbortSignal.timeout(LAYER_MS));
  const at = `${PLACE}/layer-${randomBytes(4).toString("hex")}.tar`;
  const files: string[] = [];
  const named = filterTar(tar(), ({ path, type }) => {
    if (type !== "5") files.push(path);
    return false;
  });
  for await (const _ of named);
  await machine.upload(`${at}.removed`, () => listOf(removed));
  await machine.upload(`${at}.files`, () => listOf(files));
  await machine.upload(at, tar);
  await machine.run(APPLY, at);
}

async function placeBind(machine: Machine, { source }: Bind, target: string): Promise<void> {
  const found = await stat(source).catch((cause: unknown) => {
    throw new SandlotError("invalid", `the folder or file to bind does not exist: ${source}`, {
      field: "binds",
      cause,
    });
  });
  const [folder, name] = found.isDirectory() ? [source, "."] : [dirname(source), basename(source)];
  const at = `${target}.tar`;
  const pack = found.isDirectory() ? "-cf" : "-chf";
  const argv = ["tar", pack, "-", "--numeric-owner", "--", name] as const;
  await machine.upload(at, () => readFrom(folder, argv, AbortSignal.timeout(LAYER_MS)));
  await machine.run(found.isDirectory() ? UNPACK_FOLDER : UNPACK_FILE, at, target, name);
}

/** Done once, however often they are run: an answer may be lost. */
const UNPACK_FOLDER =
  'set -e; [ ! -e "$1.done" ] || exit 0; mkdir -p "$2"; tar -xf "$1" -C "$2" --numeric-owner; : > "$1.done"; rm "$1"';
const UNPACK_FILE =
  'set -e; [ ! -e "$1.done" ] || exit 0; mkdir -p "$2.d"; tar -xf "$1" -C "$2.d" --numeric-owner; mv -T "$2.d/$3" "$2"; : > "$1.done"; rm -r "$1" "$2.d"';
const LAYER_MS = 1_800_000;

async function* listOf(paths: readonly string[]): AsyncGenerator<Uint8Array> {
  yield Buffer.from(paths.map((path) => `./${path}\0`).join(""));
}

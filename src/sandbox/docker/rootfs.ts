import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { Readable } from "node:stream";
import type { Container } from "dockerode";
import { SandlotError } from "../../errors.ts";
import { packLayer } from "../archive/pack.ts";
import type { HostRootfs } from "../oci/host-rootfs.ts";
import type { Bind, Rootfs } from "../sandbox.ts";
import { LABEL } from "./container.ts";
import { type Engine, readable, statusOf } from "./engine.ts";
import type { EngineImages } from "./images.ts";
import { hearProgress, type Told } from "./progress.ts";

/** What a container begins with. */
export interface Ground {
  readonly image: string;
  /** What of this host stands in for files of the image. */
  readonly binds: readonly Bind[];
}

export interface RootfsOptions {
  readonly engine: Engine;
  readonly images: EngineImages;
  readonly instance: string;
  /** Absent where the engine is not on this host. */
  readonly hostRootfs: HostRootfs | undefined;
  /** The image that stands for the host's system folders; empty = these. */
  readonly hostImage: string;
  /** Removes paths by a program of the image's own, and keeps the result as an image with these changes. */
  readonly removeIn: (
    ground: Ground,
    removed: { readonly paths: readonly string[]; readonly changes: readonly string[] },
  ) => Promise<string>;
}

/** Root file systems and the layers above them as images of an engine: each made once, found again by every later server. */
export class RootfsImages {
  readonly #options: RootfsOptions;
  readonly #making = new Map<string, Promise<string>>();

  constructor(options: RootfsOptions) {
    this.#options = options;
  }

  async of(rootfs: Rootfs, layers: readonly string[]): Promise<Ground> {
    const base = await this.#base(rootfs);
    if (layers.length === 0) return base;
    const key = digestOf([base.image, ...(await Promise.all(layers.map(identityOf)))]);
    return { ...base, image: await this.#once(key, () => this.#stack(base, layers, key)) };
  }

  /** Removes the images of layers that are no more. Those in use stay, for the next time, and so do those that are being made. */
  async sweep(): Promise<void> {
    const { engine, instance } = this.#options;
    const filters = { label: [`${LABEL.instance}=${instance}`] };
    const images = await engine.read("list its images", () => engine.docker.listImages({ filters }));
    for (const { Id, Labels } of images) {
      const layers = (Labels[LABEL.layers] ?? "").split(":");
      if (layers.every((path) => existsSync(path))) continue;
      const remove = () => engine.docker.getImage(Id).remove({ force: true });
      await engine.act(`remove the image ${Id}`, remove, { expected: [404, 409, 500] });
    }
  }

  async #base(rootfs: Rootfs): Promise<Ground> {
    const { hostRootfs, hostImage, images } = this.#options;
    if (rootfs.type === "image") return { image: rootfs.digest, binds: [] };
    if (rootfs.type === "directory") {
      const key = digestOf([await identityOf(rootfs.path)]);
      return { image: await this.#imported(rootfs.path, key, this.#labels([rootfs.path])), binds: [] };
    }
    if (hostImage !== "") {
      const watch = { signal: new AbortController().signal, report: () => undefined };
      return { image: (await images.resolve(hostImage, watch)).digest, binds: [] };
    }
    if (hostRootfs !== undefined) {
      // Its name says what it holds: every server of this host has the same one.
      const image = await this.#imported(hostRootfs.skeleton, basename(hostRootfs.skeleton), []);
      return { image, binds: hostRootfs.binds };
    }
    const words =
      "backend.host_image: expected an image that stands for the host's system folders, since the container engine is not on this host";
    throw new SandlotError("unsupported", words, { knob: "backend.host_image" });
  }

  #imported(folder: string, key: string, changes: readonly string[]): Promise<string> {
    return this.#once(key, async () => {
      const { engine } = this.#options;
      const { tar } = await packLayer(folder, new AbortController().signal);
      const begin = () => engine.docker.importImage(Readable.from(tar()), { changes });
      const stream = await engine.act(`import ${folder}`, begin, { timeoutMs: BUILD_MS });
      const failed = (words: string) => new SandlotError("sandbox", `the folder ${folder} was not imported: ${words}`);
      if (stream === undefined) return;
      let id = "";
      // The name is given afterwards: Podman takes none here.
      const hear = ({ status = "" }: Told): void => {
        id = /\b[0-9a-f]{64}$/.exec(status.trim())?.[0] ?? id;
      };
      await hearProgress(readable(stream), hear, { failed });
      const image = engine.docker.getImage(id);
      await engine.act(`name the image of ${folder}`, () => image.tag({ repo: REPOSITORY, tag: key }));
    });
  }

  /** Layer upon layer; the last one is given the name by which the whole is found again. All have the labels from their beginning: a sweep may come at any time. */
  async #stack(base: Ground, layers: readonly string[], key: string): Promise<void> {
    const { signal } = new AbortController();
    const changes = this.#labels(layers);
    let ground = base;
    for (const [index, layer] of layers.entries()) {
      const { removed, tar } = await packLayer(layer, signal);
      if (removed.length > 0)
        ground = { ...ground, image: await this.#options.removeIn(ground, { paths: removed, changes }) };
      const name = index === layers.length - 1 ? { repo: REPOSITORY, tag: key } : {};
      ground = { ...ground, image: await this.#added(ground.image, tar(), { ...name, changes }) };
    }
    await this.sweep();
  }

  /** A container that never runs, with more in it, kept as an image. */
  async #added(image: string, tar: AsyncIterable<Uint8Array>, name: object): Promise<string> {
    const { engine, instance } = this.#options;
    const Labels = { [LABEL.instance]: instance };
    const options = { name: newId(instance), Image: image, Entrypoint: ["/none"], Labels, NetworkDisabled: true };
    const container = await engine.act("create a container for a layer", () => engine.docker.createContainer(options));
    if (container === undefined) throw new Error("a container was expected");
    try {
      const put = () => container.putArchive(Readable.from(tar), { path: "/" });
      await engine.act("unpack a layer", put, { timeoutMs: BUILD_MS });
      return await commit(engine, container, name);
    } finally {
      const remove = () => container.remove({ force: true, v: true });
      await engine.act("remove the container of a layer", remove, { expected: [404, 409] });
    }
  }

  /** The image of that key, made if it is not there; who asks at the same time shares the making. */
  #once(key: string, make: () => Promise<void>): Promise<string> {
    const known = this.#making.get(key);
    if (known !== undefined) return known;
    const making = this.#find(key)
      .then(async (found) => {
        if (found !== undefined) return found;
        await make();
        const made = await this.#find(key);
        if (made === undefined)
          throw new SandlotError("sandbox", `the image ${REPOSITORY}:${key} was made and is gone`);
        return made;
      })
      .finally(() => this.#making.delete(key));
    this.#making.set(key, making);
    return making;
  }

  async #find(key: string): Promise<string | undefined> {
    const { engine } = this.#options;
    const image = engine.docker.getImage(`${REPOSITORY}:${key}`);
    try {
      return (await engine.read(`look for the image ${key}`, () => image.inspect())).Id;
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }

  #labels(folders: readonly string[]): string[] {
    const label = (name: string, value: string): string => `LABEL ${name}=${JSON.stringify(value)}`;
    return [label(LABEL.instance, this.#options.instance), label(LABEL.layers, folders.join(":"))];
  }
}

/** The files of a container as an image; its id. */
export async function commit(engine: Engine, container: Container, name: object = {}): Promise<string> {
  const done: { readonly Id: string } | undefined = await engine.act(
    "keep a container as an image",
    () => container.commit({ ...name, pause: false }),
    { timeoutMs: BUILD_MS },
  );
  return done?.Id ?? "";
}

/** Of a container that is one of a server's own, and goes with what else a killed one left. */
export function newId(instance: string): string {
  return `sandlot-${instance}-${randomBytes(16).toString("hex")}`;
}

const REPOSITORY = "localhost/sandlot/environment";
const BUILD_MS = 1_800_000;

function digestOf(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 40);
}

/** Layers are never changed once they are there: which folder it is decides. */
async function identityOf(folder: string): Promise<string> {
  const { dev, ino, birthtimeMs } = await stat(folder);
  return [folder, dev, ino, birthtimeMs].join(" ");
}

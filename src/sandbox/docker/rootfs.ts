import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { Readable } from "node:stream";
import type { Container, ImageInspectInfo } from "dockerode";
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

  /** Digests of images that declare no volumes. */
  readonly #plain = new Set<string>();

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
      if (await this.#isWanted(Labels)) continue;
      const remove = () => engine.docker.getImage(Id).remove({ force: true });
      await engine.act(`remove the image ${Id}`, remove, { expected: [404, 409, 500] });
    }
  }

  async #base(rootfs: Rootfs): Promise<Ground> {
    const { hostRootfs, hostImage, images } = this.#options;
    if (rootfs.type === "image") return { image: await this.#withoutVolumes(rootfs.digest), binds: [] };
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

  async #isWanted(labels: Readonly<Record<string, string>>): Promise<boolean> {
    const image = labels[LABEL.image];
    if (image !== undefined) return (await this.#inspected(image)) !== undefined;
    return (labels[LABEL.layers] ?? "").split(":").every((path) => existsSync(path));
  }

  /**
   * The image, or one of the same files that declares no volumes: what is written to a volume lies beside the container, where no limit sees it and nothing is kept of it.
   */
  async #withoutVolumes(digest: string): Promise<string> {
    if (this.#plain.has(digest)) return digest;
    const found = await this.#inspected(digest);
    if (found === undefined || Object.keys(found.Config.Volumes ?? {}).length === 0) {
      this.#plain.add(digest);
      return digest;
    }
    const { engine, instance } = this.#options;
    const labels = [labelOf(LABEL.instance, instance), labelOf(LABEL.image, digest)];
    return this.#once(digestOf([digest, "without volumes"]), async (key) => {
      await this.#unstarted(digest, async (container) => {
        const files = await engine.act("read the files of an image", () => container.export());
        if (files === undefined) throw new Error("an archive was expected");
        await this.#import({ what: `the image ${digest}`, tar: readable(files), key, changes: labels });
      });
    });
  }

  #imported(folder: string, key: string, changes: readonly string[]): Promise<string> {
    return this.#once(key, async () => {
      const { tar } = await packLayer(folder, new AbortController().signal);
      await this.#import({ what: `the folder ${folder}`, tar: Readable.from(tar()), key, changes });
    });
  }

  async #import({ what, tar, key, changes }: Importing): Promise<void> {
    const { engine } = this.#options;
    const failed = (words: string) => new SandlotError("sandbox", `${what} was not imported: ${words}`);
    try {
      const begin = () => engine.docker.importImage(tar, { changes });
      const stream = await engine.act(`import ${what}`, begin, { timeoutMs: engine.waits.filesMs });
      if (stream === undefined) return;
      let id = "";
      // The name is given afterwards: Podman takes none here.
      const hear = ({ status = "" }: Told): void => {
        id = /\b[0-9a-f]{64}$/.exec(status.trim())?.[0] ?? id;
      };
      await hearProgress(readable(stream), hear, { failed, silenceMs: engine.waits.silenceMs });
      if (id === "") throw failed("its id was not told");
      const image = engine.docker.getImage(id);
      await engine.act(`name the image of ${what}`, () => image.tag({ repo: REPOSITORY, tag: key }));
    } finally {
      tar.destroy();
    }
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
  #added(image: string, tar: AsyncIterable<Uint8Array>, name: object): Promise<string> {
    const { engine } = this.#options;
    return this.#unstarted(image, async (container) => {
      const put = () => container.putArchive(Readable.from(tar), { path: "/" });
      await engine.act("unpack a layer", put, { timeoutMs: engine.waits.filesMs });
      return await commit(engine, container, name);
    });
  }

  async #unstarted<T>(image: string, work: (container: Container) => Promise<T>): Promise<T> {
    const { engine, instance } = this.#options;
    const Labels = { [LABEL.instance]: instance };
    const options = { name: newId(instance), Image: image, Entrypoint: ["/none"], Labels, NetworkDisabled: true };
    const container = await engine.act("create a container for a layer", () => engine.docker.createContainer(options));
    if (container === undefined) throw new Error("a container was expected");
    try {
      return await work(container);
    } finally {
      const remove = () => container.remove({ force: true, v: true });
      await engine.act("remove the container of a layer", remove, { expected: [404, 409] });
    }
  }

  /** The image of that key, made if it is not there; who asks at the same time shares the making. */
  #once(key: string, make: (key: string) => Promise<void>): Promise<string> {
    const known = this.#making.get(key);
    if (known !== undefined) return known;
    const making = this.#find(key)
      .then(async (found) => {
        if (found !== undefined) return found;
        await make(key);
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
    return (await this.#inspected(`${REPOSITORY}:${key}`))?.Id;
  }

  async #inspected(name: string): Promise<ImageInspectInfo | undefined> {
    const { engine } = this.#options;
    try {
      return await engine.read(`look for the image ${name}`, () => engine.docker.getImage(name).inspect());
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }

  #labels(folders: readonly string[]): string[] {
    return [labelOf(LABEL.instance, this.#options.instance), labelOf(LABEL.layers, folders.join(":"))];
  }
}

interface Importing {
  readonly what: string;
  readonly tar: Readable;
  readonly key: string;
  readonly changes: readonly string[];
}

function labelOf(name: string, value: string): string {
  return `LABEL ${name}=${JSON.stringify(value)}`;
}

/** The files of a container as an image; its id. */
export async function commit(engine: Engine, container: Container, name: object = {}): Promise<string> {
  const done: { readonly Id: string } | undefined = await engine.act(
    "keep a container as an image",
    () => container.commit({ ...name, pause: false }),
    { timeoutMs: engine.waits.filesMs },
  );
  return done?.Id ?? "";
}

/** Of a container that is one of a server's own, and goes with what else a killed one left. */
export function newId(instance: string): string {
  return `sandlot-${instance}-${randomBytes(16).toString("hex")}`;
}

const REPOSITORY = "localhost/sandlot/environment";

function digestOf(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 40);
}

/** Layers are never changed once they are there: which folder it is decides. */
async function identityOf(folder: string): Promise<string> {
  const { dev, ino, birthtimeMs } = await stat(folder);
  return [folder, dev, ino, birthtimeMs].join(" ");
}

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Exchange, number, Refusal, readBody, readJson, sendJson, text } from "./http.ts";
import { type Disk, Machine } from "./machine.ts";

/** What sandboxes are made from. */
export interface Template {
  readonly id: string;
  readonly names: readonly string[];
  readonly kind: "template" | "snapshot";
  readonly disk: Disk;
  readonly cpuCount: number;
  readonly memoryMiB: number;
  readonly env: Readonly<Record<string, string>>;
  readonly workdir?: string;
  readonly user: string;
}

interface Build {
  readonly templateId: string;
  readonly id: string;
  readonly name: string;
  readonly cpuCount: number;
  readonly memoryMiB: number;
  status: "waiting" | "building" | "ready" | "error";
  reason?: string;
  readonly log: string[];
}

interface Step {
  readonly type: string;
  readonly args: readonly string[];
  readonly filesHash?: string;
}

/** Templates, their builds and snapshots. What an image holds is looked up in `images` by its name. */
export class Templates {
  readonly #folder: string;
  readonly #images: ReadonlyMap<string, Disk>;
  readonly #maxBuilds: number;
  readonly #all = new Map<string, Template>();
  readonly #builds = new Map<string, Build>();

  constructor(folder: string, images: ReadonlyMap<string, Disk>, maxBuilds: number) {
    this.#folder = folder;
    this.#images = images;
    this.#maxBuilds = maxBuilds;
  }

  /** By id, by name, or by name and tag. */
  find(name: string): Template {
    const wanted = name.replace(/:default$/, "");
    const found = [...this.#all.values()].findLast(({ id, names }) => id === wanted || names.includes(wanted));
    if (found === undefined) throw new Refusal(404, `template '${name}' not found`);
    return found;
  }

  /** In the place of one of the same name. */
  add(template: Omit<Template, "id">): Template {
    const [name] = template.names;
    const earlier = [...this.#all.values()].find(({ names }) => name !== undefined && names.includes(name));
    const added = { ...template, id: earlier?.id ?? newId() };
    this.#all.set(added.id, added);
    return added;
  }

  async request({ request, response }: Exchange): Promise<void> {
    const body = await readJson(request);
    const name = text(body["name"]) ?? text(body["alias"]);
    if (name === undefined) throw new Refusal(400, "name is required");
    if (!/^[a-z0-9][a-z0-9_-]*(\/[a-z0-9_-]+)?(:[\w.-]+)?$/.test(name))
      throw new Refusal(400, `invalid name '${name}'`);
    const others = [...this.#builds.values()].filter((one) => one.name !== name && /ing$/.test(one.status));
    if (others.length >= this.#maxBuilds) {
      throw new Refusal(429, `you have reached the maximum number of concurrent template builds (${this.#maxBuilds})`);
    }
    const earlier = [...this.#builds.values()].find((one) => one.name === name);
    const build: Build = {
      ...{ id: newId(), templateId: earlier?.templateId ?? newId(), name, status: "waiting", log: [] },
      cpuCount: number(body["cpuCount"]) ?? 2,
      memoryMiB: number(body["memoryMB"]) ?? 1_024,
    };
    this.#builds.set(build.id, build);
    const { templateId: templateID, id: buildID } = build;
    sendJson(response, 202, { templateID, buildID, public: false, names: [name], aliases: [name], tags: ["default"] });
  }

  async start({ request, response, groups }: Exchange): Promise<void> {
    const build = this.#builds.get(groups["build"] ?? "");
    if (build === undefined) throw new Refusal(404, "build not found");
    const body = await readJson(request);
    build.status = "building";
    void this.#make(build, body).then(
      () => {
        build.status = "ready";
      },
      (error: unknown) => {
        build.reason = error instanceof Error ? error.message : String(error);
        build.log.push(build.reason);
        build.status = "error";
      },
    );
    response.writeHead(202, { "content-length": 0 }).end();
  }

  status({ response, groups, url }: Exchange): void {
    const build = this.#builds.get(groups["build"] ?? "");
    if (build === undefined) throw new Refusal(404, "build not found");
    const lines = build.log.slice(Number(url.searchParams.get("logsOffset") ?? 0));
    sendJson(response, 200, {
      ...{ templateID: build.templateId, buildID: build.id, status: build.status, logs: lines },
      logEntries: lines.map((message) => ({ timestamp: new Date().toISOString(), level: "info", message })),
      ...(build.reason && { reason: { message: build.reason } }),
    });
  }

  /** A name is taken as soon as a build of it was asked for. */
  alias({ response, groups }: Exchange): void {
    const name = groups["name"] ?? "";
    const build = [...this.#builds.values()].find((one) => one.name.replace(/:default$/, "") === name);
    sendJson(response, 200, { templateID: build?.templateId ?? this.find(name).id, public: false });
  }

  builds({ response, groups }: Exchange): void {
    const builds = [...this.#builds.values()].filter(({ templateId }) => templateId === groups["id"]);
    if (builds.length === 0) throw new Refusal(404, `template '${groups["id"]}' not found`);
    const at = new Date().toISOString();
    const names = [...new Set(builds.map(({ name }) => name))];
    sendJson(response, 200, {
      ...{ templateID: groups["id"], public: false, aliases: names, names, spawnCount: 0 },
      ...{ createdAt: at, updatedAt: at, lastSpawnedAt: null },
      builds: builds.map(({ id, status, cpuCount, memoryMiB }) => ({
        ...{ buildID: id, status, cpuCount, memoryMB: memoryMiB, createdAt: at, updatedAt: at },
      })),
    });
  }

  /** `check` throws when it is in use. */
  async remove({ response, groups }: Exchange, check: (template: Template) => void): Promise<void> {
    const template = this.find(groups["id"] ?? "");
    check(template);
    const { id } = template;
    this.#all.delete(id);
    for (const [key, { templateId }] of this.#builds) if (templateId === id) this.#builds.delete(key);
    response.writeHead(204).end();
  }

  snapshots({ response, url }: Exchange): void {
    const wanted = url.searchParams.get("name");
    const all = [...this.#all.values()].filter(({ kind }) => kind === "snapshot");
    const shown = all.filter(({ names }) => wanted === null || names.includes(wanted));
    sendJson(
      response,
      200,
      shown.map(({ id, names }) => ({ snapshotID: id, names })),
    );
  }

  /** Where the files of a COPY go; `present` when they were sent before. */
  uploadLink({ request, response, groups }: Exchange): void {
    const present = existsSync(this.#sent(groups["hash"] ?? ""));
    sendJson(response, 201, { present, url: `http://${request.headers.host}/uploads/${groups["hash"]}` });
  }

  async receive({ request, response, groups }: Exchange): Promise<void> {
    await mkdir(join(this.#folder, "uploads"), { recursive: true });
    await writeFile(this.#sent(groups["hash"] ?? ""), await readBody(request));
    response.writeHead(200, { "content-length": 0 }).end();
  }

  /** Keeps the files of a machine that stands still. */
  async keep(machine: Machine, from: Disk): Promise<Disk> {
    const folder = join(this.#folder, "disks");
    await mkdir(folder, { recursive: true });
    const image = join(folder, newId());
    await machine.copyDisk(image);
    return { lower: from.lower, image };
  }

  async #make(build: Build, body: Record<string, unknown>): Promise<void> {
    const base = this.#base(body);
    const steps = Array.isArray(body["steps"]) ? (body["steps"] as Step[]) : []; // decoded JSON
    const folder = join(this.#folder, "builds", build.id);
    const { memoryMiB, cpuCount, name } = build;
    const machine = await Machine.start({ folder, disk: base.disk, name: build.id, network: true, memoryMiB });
    const made = { env: { ...base.env }, workdir: base.workdir, user: base.user };
    try {
      await provision(machine);
      for (const step of steps) await this.#step(machine, step, made, build);
      await machine.stop();
      const disk = await this.keep(machine, base.disk);
      const { env, workdir, user } = made;
      const rest = { kind: "template", disk, cpuCount, memoryMiB, env, user } as const;
      this.#all.set(build.templateId, {
        ...{ id: build.templateId, names: [name.replace(/:default$/, "")], ...rest },
        ...(workdir !== undefined && { workdir }),
      });
    } finally {
      await machine.destroy();
    }
  }

  async #step(
    machine: Machine,
    { type, args, filesHash }: Step,
    made: { env: Record<string, string>; workdir: string | undefined; user: string },
    build: Build,
  ): Promise<void> {
    build.log.push(`${type} ${args.join(" ")}`.slice(0, 200));
    const [first = "", second = ""] = args;
    if (type === "ENV") for (let at = 0; at + 1 < args.length; at += 2) made.env[args[at] ?? ""] = args[at + 1] ?? "";
    else if (type === "WORKDIR") {
      made.workdir = first;
      await succeed(machine, 'mkdir -p "$1"', first);
    } else if (type === "USER") made.user = first;
    else if (type === "COPY") {
      await machine.run(["/bin/mkdir", "-p", "/tmp/.copy"]);
      const input = await readFile(this.#sent(filesHash ?? ""));
      const script =
        'tar -xz -C /tmp/.copy && mkdir -p "$(dirname "$2")" && cp -a "/tmp/.copy/$1" "$2"; rc=$?; rm -r /tmp/.copy; exit $rc';
      const { code, stderr } = await machine.run(["/bin/bash", "-c", script, "copy", first, second], { input });
      if (code !== 0) throw new Error(`COPY ${first}: ${stderr}`);
    } else if (type === "RUN") {
      const { code, stdout, stderr } = await machine.run(["/bin/bash", "-l", "-c", first], {
        env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root", ...made.env },
        ...(made.workdir !== undefined && { cwd: made.workdir }),
      });
      build.log.push(`${stdout.toString()}${stderr}`);
      if (code !== 0) throw new Error(`failed to run command '${first}': exit status ${code}`);
    } else throw new Error(`unknown step ${type}`);
  }

  #base(body: Record<string, unknown>): Pick<Template, "disk" | "env" | "user" | "workdir"> {
    const template = text(body["fromTemplate"]);
    if (template !== undefined) return this.find(template);
    const image = text(body["fromImage"]) ?? "";
    const disk = this.#images.get(image);
    if (disk === undefined) throw new Error(`failed to pull image '${image}': manifest unknown`);
    return { disk, env: {}, user: "user" };
  }

  #sent(hash: string): string {
    return join(this.#folder, "uploads", hash.replaceAll(/[^\w]/g, "_"));
  }

  async close(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 3 });
  }

  /** Of builds, for who wants to know how many there were. */
  get built(): readonly string[] {
    return [...this.#builds.values()].map(({ name }) => name);
  }
}

export const newId = (): string => randomBytes(10).toString("hex");

/** An image becomes a machine: with the user that people work as. */
async function provision(machine: Machine): Promise<void> {
  await succeed(
    machine,
    `grep -q ^user: /etc/passwd || echo user:x:1000:1000::/home/user:/bin/bash >> /etc/passwd
     grep -q ^user: /etc/group || echo user:x:1000: >> /etc/group`,
    "",
  );
}

async function succeed(machine: Machine, script: string, word: string): Promise<void> {
  const { code, stderr } = await machine.run(["/bin/bash", "-c", script, "bash", word]);
  if (code !== 0) throw new Error(stderr);
}

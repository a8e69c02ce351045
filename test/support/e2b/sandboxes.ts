import { randomBytes } from "node:crypto";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { BuiltEnvd } from "./built-envd.ts";
import { Files } from "./files.ts";
import { type Exchange, number, Refusal, readJson, sendJson, strings, text } from "./http.ts";
import { Machine } from "./machine.ts";
import { Processes } from "./process.ts";
import { newId, type Template, type Templates } from "./templates.ts";
import { Users } from "./users.ts";

export interface Account {
  readonly maxSandboxes: number;
  readonly createsPerSecond: number;
  readonly maxLifeMs: number;
  /** Under way at once. */
  readonly maxBuilds: number;
}

export interface Box {
  readonly id: string;
  readonly template: Template;
  readonly metadata: Readonly<Record<string, string>>;
  readonly token: string | undefined;
  readonly machine: Machine;
  readonly processes: Processes;
  readonly files: Files;
  /** In place of those two, where there is one. */
  readonly envd: BuiltEnvd | undefined;
  readonly startedAt: number;
  /** Answers under way: a sandbox that ends takes their connections along. */
  readonly open: Set<ServerResponse>;
  endAt: number;
  state: "running" | "paused";
  timer: NodeJS.Timeout;
}

const ENVD_VERSION = "0.6.1";
/** A program, see `BuiltEnvd`. */
const BUILT_ENVD = process.env["SANDLOT_ENVD"];
/** What an account gets that does not say. */
const LIFE_S = 15;

/** The control plane's sandboxes: their making, their life and their end. */
export class Sandboxes {
  readonly #folder: string;
  readonly #templates: Templates;
  readonly #account: Account;
  readonly #boxes = new Map<string, Box>();
  /** Sandboxes that are being made count too. */
  #making = 0;
  #created: number[] = [];
  /** Everything that was ever made, for who wants to count. */
  total = 0;

  constructor(folder: string, templates: Templates, account: Account) {
    this.#folder = folder;
    this.#templates = templates;
    this.#account = account;
  }

  get ids(): readonly string[] {
    return [...this.#boxes.keys()];
  }

  /** Those whose metadata has all of these. */
  named(metadata: Readonly<Record<string, string>>): readonly Box[] {
    const wanted = Object.entries(metadata);
    return [...this.#boxes.values()].filter((box) => wanted.every(([name, value]) => box.metadata[name] === value));
  }

  find(id: string): Box | undefined {
    return this.#boxes.get(id);
  }

  async create({ request, response }: Exchange): Promise<void> {
    const body = await readJson(request);
    this.#admit();
    this.#making += 1;
    try {
      const box = await this.#make(this.#templates.find(text(body["templateID"]) ?? ""), body);
      this.#boxes.set(box.id, box);
      this.total += 1;
      sendJson(response, 201, shownToOwner(box));
    } finally {
      this.#making -= 1;
    }
  }

  list({ response, url }: Exchange): void {
    const wanted = [...new URLSearchParams(url.searchParams.get("metadata") ?? "")].map(
      ([name, value]) => [decodeURIComponent(name), decodeURIComponent(value)] as const,
    );
    const states = url.searchParams.get("state")?.split(",");
    const all = [...this.#boxes.values()]
      .filter(({ metadata }) => wanted.every(([name, value]) => metadata[name] === value))
      .filter(({ state }) => states === undefined || states.includes(state))
      .toSorted((a, b) => a.startedAt - b.startedAt);
    const from = Number(url.searchParams.get("nextToken") ?? 0);
    const until = from + Number(url.searchParams.get("limit") ?? 100);
    if (until < all.length) response.setHeader("x-next-token", String(until));
    sendJson(response, 200, all.slice(from, until).map(shown));
  }

  info({ response, groups }: Exchange): void {
    sendJson(response, 200, shown(this.#get(groups)));
  }

  /** A template may not go while something that was made from it lives. */
  refuseRemoval(template: Template): void {
    if (![...this.#boxes.values()].some((box) => box.template.id === template.id)) return;
    throw new Refusal(400, `cannot delete template '${template.id}' because there are running sandboxes using it`);
  }

  async kill({ response, groups }: Exchange): Promise<void> {
    await this.#end(this.#get(groups));
    response.writeHead(204).end();
  }

  async extend({ request, response, groups }: Exchange): Promise<void> {
    this.#setLife(this.#get(groups), number((await readJson(request))["timeout"]) ?? LIFE_S);
    response.writeHead(204).end();
  }

  /** Makes a life longer, never shorter; a paused sandbox goes on. */
  async connect({ request, response, groups }: Exchange): Promise<void> {
    const box = this.#get(groups);
    const seconds = number((await readJson(request))["timeout"]) ?? LIFE_S;
    const resumed = box.state === "paused";
    if (resumed) await box.machine.signalAll("CONT");
    box.state = "running";
    if (Date.now() + seconds * 1_000 > box.endAt) this.#setLife(box, seconds);
    sendJson(response, resumed ? 201 : 200, shownToOwner(box));
  }

  async pause({ response, groups }: Exchange): Promise<void> {
    const box = this.#get(groups);
    if (box.state === "paused") throw new Refusal(409, `sandbox '${box.id}' is not running`);
    await box.machine.signalAll("STOP");
    clearTimeout(box.timer);
    box.state = "paused";
    response.writeHead(204).end();
  }

  /** Files only: what runs is not in it. */
  async snapshot({ request, response, groups }: Exchange): Promise<void> {
    const box = this.#get(groups);
    const name = text((await readJson(request))["name"]);
    await box.machine.signalAll("STOP");
    try {
      const disk = await this.#templates.keep(box.machine, box.template.disk);
      const { id: _, ...rest } = box.template;
      const made = this.#templates.add({ ...rest, disk, kind: "snapshot", names: name === undefined ? [] : [name] });
      sendJson(response, 201, { snapshotID: name ?? made.id, names: made.names });
    } finally {
      await box.machine.signalAll("CONT");
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#boxes.values()].map((box) => this.#end(box)));
  }

  #admit(): void {
    const now = Date.now();
    this.#created = this.#created.filter((at) => now - at < 1_000);
    if (this.#created.length >= this.#account.createsPerSecond) {
      throw new Refusal(429, "Rate limit exceeded, please try again later.", { "retry-after": "1" });
    }
    if (this.#boxes.size + this.#making >= this.#account.maxSandboxes) {
      const most = this.#account.maxSandboxes;
      throw new Refusal(429, `you have reached the maximum number of concurrent E2B sandboxes (${most})`);
    }
    this.#created.push(now);
  }

  async #make(template: Template, body: Record<string, unknown>): Promise<Box> {
    const id = `i${newId().slice(0, 19)}`;
    const seconds = number(body["timeout"]) ?? LIFE_S;
    if (seconds * 1_000 > this.#account.maxLifeMs) {
      throw new Refusal(400, `Timeout cannot be greater than ${this.#account.maxLifeMs / 3_600_000} hours`);
    }
    const machine = await Machine.start({
      folder: join(this.#folder, id),
      disk: template.disk,
      name: id,
      network: BUILT_ENVD === undefined && body["allow_internet_access"] !== false, // it forwards ports: not those of this host
      memoryMiB: template.memoryMiB,
    });
    const users = new Users(machine, template.user);
    const env = { ...template.env, ...strings(body["envVars"]) };
    const token = body["secure"] === false ? undefined : randomBytes(16).toString("hex");
    const settings = { accessToken: token, envVars: env, defaultUser: template.user, defaultWorkdir: template.workdir };
    const envd = BUILT_ENVD === undefined ? undefined : await BuiltEnvd.start(machine, BUILT_ENVD, settings);
    const box: Box = {
      ...{ id, template, machine, state: "running", metadata: strings(body["metadata"]) },
      ...{ token, envd },
      processes: new Processes(machine, users, env, template.workdir),
      files: new Files(machine, users),
      startedAt: Date.now(),
      open: new Set(),
      endAt: 0,
      timer: setTimeout(() => undefined, 0),
    };
    this.#setLife(box, seconds);
    return box;
  }

  #setLife(box: Box, seconds: number): void {
    clearTimeout(box.timer);
    box.endAt = Date.now() + seconds * 1_000;
    box.timer = setTimeout(() => void this.#end(box), seconds * 1_000).unref();
  }

  async #end(box: Box): Promise<void> {
    clearTimeout(box.timer);
    this.#boxes.delete(box.id);
    for (const response of box.open) response.socket?.destroy();
    await box.machine.destroy();
  }

  #get(groups: Readonly<Record<string, string>>): Box {
    const box = this.#boxes.get(groups["id"] ?? "");
    if (box === undefined) throw new Refusal(404, `sandbox '${groups["id"]}' not found`);
    return box;
  }
}

function shown({ id, template, metadata, startedAt, endAt, state }: Box): unknown {
  return {
    ...{ sandboxID: id, templateID: template.id, alias: template.names[0], clientID: "local", metadata, state },
    ...{ cpuCount: template.cpuCount, memoryMB: template.memoryMiB, diskSizeMB: 10_240, envdVersion: ENVD_VERSION },
    startedAt: new Date(startedAt).toISOString(),
    endAt: new Date(endAt).toISOString(),
  };
}

function shownToOwner({ id, template, token }: Box): unknown {
  return {
    ...{ sandboxID: id, templateID: template.id, clientID: "local", envdVersion: ENVD_VERSION, domain: null },
    ...(token !== undefined && { envdAccessToken: token }),
  };
}

import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answerStream, answerUnary } from "./connect.ts";
import { type Fault, meetFault } from "./faults.ts";
import { type Exchange, Refusal, sendRefusal } from "./http.ts";
import type { Disk } from "./machine.ts";
import { type Account, type Box, Sandboxes } from "./sandboxes.ts";
import { answerSparsely } from "./sparse.ts";
import { Templates } from "./templates.ts";

export interface E2bServerOptions {
  readonly port?: number;
  readonly apiKey?: string;
  /** What `fromImage` finds, by reference. */
  readonly images?: ReadonlyMap<string, Disk>;
  readonly account?: Partial<Account>;
  /** The paths of create and connect that are served; others answer 405. */
  readonly versions?: readonly ("v1" | "v2")[];
  /** `sparse`: another service than E2B's, see sparse.ts. */
  readonly manner?: "full" | "sparse";
}

type Handler = (exchange: Exchange) => void | Promise<void>;
type Route = readonly [method: string, path: RegExp, handler: Handler];

/**
 * E2B's control plane and the envd of every sandbox at one loopback address, with real processes behind them. Requests with a sandbox's id in `E2b-Sandbox-Id`, or in the
 * host's name, are envd's. Set `apiUrl` and `sandboxUrl` of the SDK to `url`.
 */
export class E2bServer implements AsyncDisposable {
  readonly faults: Fault[] = [];
  /** `METHOD /path` of every request. */
  readonly requests: string[] = [];
  readonly sandboxes: Sandboxes;
  readonly templates: Templates;
  readonly apiKey: string;
  /** Goes with it. */
  readonly folder: string;
  readonly #http: Server;
  readonly #routes: readonly Route[];
  readonly #sparse: boolean;
  #url = "";

  private constructor(options: E2bServerOptions) {
    const { apiKey = "e2b_local", images = new Map(), account = {}, versions = ["v1", "v2"] } = options;
    this.apiKey = apiKey;
    this.#sparse = options.manner === "sparse";
    this.folder = mkdtempSync(join(tmpdir(), "e2b-server-"));
    const whole = { maxSandboxes: 100, createsPerSecond: 100, maxLifeMs: 86_400_000, maxBuilds: 20, ...account };
    this.templates = new Templates(join(this.folder, "templates"), images, whole.maxBuilds);
    this.sandboxes = new Sandboxes(join(this.folder, "machines"), this.templates, whole);
    this.#routes = routes(this.sandboxes, this.templates, versions);
    this.#http = createServer((request, response) => void this.#answer(request, response));
    this.#http.keepAliveTimeout = 60_000;
    this.#http.requestTimeout = 0;
  }

  static async start(options: E2bServerOptions = {}): Promise<E2bServer> {
    const server = new E2bServer(options);
    await new Promise<void>((resolve) => server.#http.listen(options.port ?? 0, "127.0.0.1", resolve));
    server.#url = `http://127.0.0.1:${(server.#http.address() as AddressInfo).port}`;
    return server;
  }

  get url(): string {
    return this.#url;
  }

  /** How the SDK finds it. */
  get connection(): { readonly apiKey: string; readonly apiUrl: string; readonly sandboxUrl: string } {
    return { apiKey: this.apiKey, apiUrl: this.#url, sandboxUrl: this.#url };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
    await this.sandboxes.close();
    await this.templates.close();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://local");
    this.requests.push(`${request.method} ${url.pathname}`);
    response.on("error", () => undefined);
    try {
      if (!(await meetFault(this.faults, request, response))) return;
      if (this.#sparse && answerSparsely(request, response)) return;
      const id = sandboxOf(request);
      const exchange = { request, response, url, groups: {} };
      await (id === undefined ? this.#control(exchange) : this.#envd(exchange, id));
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal(500, String(error));
      sendRefusal(response, refusal);
    }
  }

  async #envd(exchange: Exchange, id: string): Promise<void> {
    const { request, response, url } = exchange;
    const box = this.sandboxes.find(id);
    if (box === undefined || box.state === "paused") {
      const message = "The sandbox was not found";
      response.writeHead(502, { "content-type": "application/json" });
      response.end(JSON.stringify({ sandboxId: id, message, code: 502 }));
      return;
    }
    box.open.add(response);
    response.once("close", () => box.open.delete(response));
    if (box.envd !== undefined) return box.envd.forward(exchange);
    if (url.pathname === "/health") {
      response.writeHead(204).end();
      return;
    }
    const isMeant = this.#sparse || box.token === undefined || request.headers["x-access-token"] === box.token;
    if (!isMeant) throw new Refusal(401, "unauthorized access, please provide a valid access token");
    await answerEnvd(exchange, box);
  }

  async #control(exchange: Exchange): Promise<void> {
    const { request, url } = exchange;
    const path = url.pathname;
    if (!path.startsWith("/uploads/") && request.headers["x-api-key"] !== this.apiKey) {
      throw new Refusal(401, "invalid API key");
    }
    const here = this.#routes.filter(([, pattern]) => pattern.test(path));
    const route = here.find(([method]) => method === request.method);
    if (route === undefined) throw new Refusal(here.length > 0 ? 405 : 404, `no ${request.method} ${path}`);
    await route[2]({ ...exchange, groups: { ...route[1].exec(path)?.groups } });
  }
}

function routes(sandboxes: Sandboxes, templates: Templates, versions: readonly ("v1" | "v2")[]): readonly Route[] {
  const served = (version: "v1" | "v2", handler: Handler): Handler =>
    versions.includes(version)
      ? handler
      : () => {
          throw new Refusal(405, "method not allowed");
        };
  const one = "(?<id>[^/]+)";
  const table: readonly (readonly [string, string, Handler])[] = [
    ["POST", "/sandboxes", served("v1", (exchange) => sandboxes.create(exchange))],
    ["POST", "/v2/sandboxes", served("v2", (exchange) => sandboxes.create(exchange))],
    ["GET", "/sandboxes", (exchange) => sandboxes.list(exchange)],
    ["GET", "/v2/sandboxes", (exchange) => sandboxes.list(exchange)],
    ["GET", `/sandboxes/${one}`, (exchange) => sandboxes.info(exchange)],
    ["DELETE", `/sandboxes/${one}`, (exchange) => sandboxes.kill(exchange)],
    ["POST", `/sandboxes/${one}/timeout`, (exchange) => sandboxes.extend(exchange)],
    ["POST", `/sandboxes/${one}/connect`, served("v1", (exchange) => sandboxes.connect(exchange))],
    ["POST", `/v2/sandboxes/${one}/connect`, served("v2", (exchange) => sandboxes.connect(exchange))],
    ["POST", `/sandboxes/${one}/pause`, (exchange) => sandboxes.pause(exchange)],
    ["POST", `/sandboxes/${one}/snapshots`, (exchange) => sandboxes.snapshot(exchange)],
    ["GET", "/snapshots", (exchange) => templates.snapshots(exchange)],
    ["POST", "/v3/templates", (exchange) => templates.request(exchange)],
    ["POST", `/v2/templates/${one}/builds/(?<build>[^/]+)`, (exchange) => templates.start(exchange)],
    ["GET", `/templates/${one}/builds/(?<build>[^/]+)/status`, (exchange) => templates.status(exchange)],
    ["GET", `/templates/${one}`, (exchange) => templates.builds(exchange)],
    ["GET", "/templates/aliases/(?<name>[^/]+)", (exchange) => templates.alias(exchange)],
    ["GET", `/templates/${one}/files/(?<hash>[^/]+)`, (exchange) => templates.uploadLink(exchange)],
    ["PUT", "/uploads/(?<hash>[^/]+)", (exchange) => templates.receive(exchange)],
    ["DELETE", `/templates/${one}`, (exchange) => templates.remove(exchange, (one) => sandboxes.refuseRemoval(one))],
  ];
  return table.map(([method, path, handler]) => [method, new RegExp(`^${path}$`), handler]);
}

function sandboxOf(request: IncomingMessage): string | undefined {
  const header = request.headers["e2b-sandbox-id"];
  return typeof header === "string" ? header : /^\d+-([^.]+)\./.exec(request.headers.host ?? "")?.[1];
}

async function answerEnvd(exchange: Exchange, box: Box): Promise<void> {
  const { request, url } = exchange;
  const [, service, method = ""] = /^\/([\w.]+)\/?(\w*)$/.exec(url.pathname) ?? [];
  if (service === "files" && request.method === "GET") return box.files.download(exchange);
  if (service === "files" && request.method === "POST") return box.files.upload(exchange);
  const unary = { "process.Process": box.processes, "filesystem.Filesystem": box.files }[service ?? ""]?.unary[method];
  if (unary !== undefined) return answerUnary(exchange, unary);
  const streaming = service === "process.Process" ? box.processes.streaming[method] : undefined;
  if (streaming !== undefined) return answerStream(exchange, streaming);
  throw new Refusal(404, `no ${url.pathname}`);
}

import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A file as the hub keeps it: large ones by the sha256 of their content, small ones in git. */
export interface HubFile {
  readonly bytes: Uint8Array;
  readonly large?: boolean;
}

export interface HubDataset {
  readonly commits: ReadonlyMap<string, ReadonlyMap<string, HubFile>>;
  readonly branches: Readonly<Record<string, string>>;
  readonly card?: unknown;
  /** Whom it is for; default: everybody. */
  readonly token?: string;
}

/** What happens to the next requests whose address matches, in place of an answer. */
export interface Trouble {
  readonly at: RegExp;
  times: number;
  readonly with: {
    readonly reset?: true;
    readonly silence?: true;
    readonly status?: number;
    readonly headers?: Readonly<Record<string, string>>;
    /** So many bytes of the body, then the connection ends. */
    readonly cutAfter?: number;
    /** So many bytes of the body, then nothing. */
    readonly stallAfter?: number;
  };
}

export interface Request {
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

const PAGE = 3;

/**
 * The part of the hub's HTTP interface that data sets are read by, on loopback, with the habits of the real one: pages of a tree by `Link`, a
 * redirect of large files to a host of signed addresses that refuses any other authorization, 401 for what is not there as long as nobody says who asks,
 * error codes in headers, renamed data sets by redirect.
 */
export class LoopbackHub {
  readonly datasets = new Map<string, HubDataset>();
  readonly renamed = new Map<string, string>();
  readonly troubles: Trouble[] = [];
  readonly requests: Request[] = [];
  /** What addresses of next pages begin with; default: the endpoint. */
  pagesAt = "";
  readonly #hub: Server;
  readonly #store: Server;
  #endpoint = "";

  private constructor() {
    this.#hub = createServer((request, response) =>
      this.#serve(request, response, (path) => this.#answer(path, request)),
    );
    this.#store = createServer((request, response) =>
      this.#serve(request, response, (path) => this.#stored(path, request)),
    );
  }

  static async open(): Promise<LoopbackHub> {
    const hub = new LoopbackHub();
    for (const server of [hub.#hub, hub.#store]) {
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    }
    hub.#endpoint = addressOf(hub.#hub);
    return hub;
  }

  get endpoint(): string {
    return this.#endpoint;
  }

  async close(): Promise<void> {
    for (const server of [this.#hub, this.#store]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #serve(request: IncomingMessage, response: ServerResponse, answer: (path: URL) => Answer): void {
    const path = request.url ?? "/";
    const { range, authorization } = request.headers;
    this.requests.push({ path, range, authorization });
    const trouble = this.troubles.find(({ at, times }) => times > 0 && at.test(path));
    if (trouble) trouble.times -= 1;
    const { reset, silence, status: refused, headers: also, cutAfter, stallAfter } = trouble?.with ?? {};
    if (reset) return void request.socket.resetAndDestroy();
    if (silence) return;
    if (refused !== undefined) return void response.writeHead(refused, also).end("trouble");
    const { status, headers, body } = answer(new URL(path, "http://hub"));
    response.writeHead(status, { ...headers, "content-length": body.length });
    if (cutAfter !== undefined) response.write(body.subarray(0, cutAfter), () => request.socket.resetAndDestroy());
    else if (stallAfter !== undefined) response.write(body.subarray(0, stallAfter));
    else response.end(body);
  }

  #answer(url: URL, request: IncomingMessage): Answer {
    const [, id = "", kind = "revision", revision = "main", path = ""] =
      /^\/(?:api\/)?datasets\/([^/]+\/[^/]+)(?:\/(revision|tree|resolve)\/([^/]+)\/?(.*))?$/.exec(url.pathname) ?? [];
    const elsewhere = this.renamed.get(id);
    if (elsewhere !== undefined) {
      return redirect(307, url.pathname.replace(id, elsewhere) + url.search);
    }
    const dataset = this.datasets.get(id);
    const { authorization } = request.headers;
    if (dataset === undefined || (dataset.token !== undefined && authorization !== `Bearer ${dataset.token}`)) {
      const there = authorization === undefined ? "Invalid username or password." : "Repository not found";
      return refusal(authorization === undefined ? 401 : 404, "RepoNotFound", there);
    }
    const name = decodeURIComponent(revision);
    const sha = dataset.branches[name] ?? name;
    const files = dataset.commits.get(sha);
    if (files === undefined) return refusal(404, "RevisionNotFound", `Invalid rev id: ${name}`);
    if (kind === "revision") return json({ id, sha, private: dataset.token !== undefined, cardData: dataset.card });
    if (kind === "tree") return tree(files, url, this.pagesAt || this.endpoint);
    return this.#resolve(sha, decodeURIComponent(path), files, request);
  }

  #resolve(sha: string, path: string, files: ReadonlyMap<string, HubFile>, request: IncomingMessage): Answer {
    const file = files.get(path);
    if (file === undefined) return refusal(404, "EntryNotFound", "Entry not found");
    const headers = { "x-repo-commit": sha, "accept-ranges": "bytes" };
    if (!file.large) return ranged(file.bytes, request, { ...headers, etag: `"${gitId(file.bytes)}"` });
    const sum = sha256(file.bytes);
    const location = `${addressOf(this.#store)}/stored/${sum}?X-Signature=abc`;
    return {
      status: 302,
      headers: { ...headers, location, "x-linked-etag": `"${sum}"`, "x-linked-size": String(file.bytes.length) },
      body: Buffer.from(`Found. Redirecting to ${location}`),
    };
  }

  /** As a store of signed addresses: whoever comes with a token of another kind is sent away. */
  #stored(url: URL, request: IncomingMessage): Answer {
    if (request.headers.authorization !== undefined) return refusal(400, "InvalidArgument", "Only one auth mechanism");
    const sum = url.pathname.split("/").at(-1);
    for (const { commits } of this.datasets.values()) {
      for (const files of commits.values()) {
        for (const { bytes } of files.values()) if (sha256(bytes) === sum) return ranged(bytes, request, {});
      }
    }
    return refusal(404, "NoSuchKey", "gone");
  }
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** Everything below the root, folders too, some entries a page. */
function tree(files: ReadonlyMap<string, HubFile>, url: URL, endpoint: string): Answer {
  const folders = new Set([...files.keys()].flatMap((path) => parents(path)));
  const entries = [
    ...[...folders].map((path) => ({ type: "directory", oid: gitId(Buffer.from(path)), size: 0, path })),
    ...[...files].map(([path, { bytes, large }]) => ({
      type: "file",
      oid: gitId(large ? Buffer.from(`pointer of ${path}`) : bytes),
      size: bytes.length,
      path,
      ...(large && { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 133 }, xetHash: sha256(bytes) }),
    })),
  ];
  const from = Number(url.searchParams.get("cursor") ?? 0);
  const next = new URL(url.pathname + url.search, endpoint);
  next.searchParams.set("cursor", String(from + PAGE));
  const link = from + PAGE < entries.length ? { link: `<${next.href}>; rel="next"` } : {};
  return json(entries.slice(from, from + PAGE), link);
}

function parents(path: string): string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}

function ranged(bytes: Uint8Array, request: IncomingMessage, headers: Readonly<Record<string, string>>): Answer {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? -1);
  if (from < 0) return { status: 200, headers, body: bytes };
  if (from >= bytes.length) return { status: 416, headers, body: Buffer.alloc(0) };
  const range = `bytes ${from}-${bytes.length - 1}/${bytes.length}`;
  return { status: 206, headers: { ...headers, "content-range": range }, body: bytes.subarray(from) };
}

function json(value: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  return {
    status: 200,
    headers: { ...headers, "content-type": "application/json" },
    body: Buffer.from(JSON.stringify(value)),
  };
}

function refusal(status: number, code: string, message: string): Answer {
  const headers = { "x-error-code": code, "x-error-message": message };
  return { status, headers, body: Buffer.from(JSON.stringify({ error: message })) };
}

function redirect(status: number, location: string): Answer {
  return { status, headers: { location }, body: Buffer.from("moved") };
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function gitId(bytes: Uint8Array): string {
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}

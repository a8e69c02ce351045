import { gunzipSync } from "node:zlib";
import { ConnectError, type Unary } from "./connect.ts";
import { type Exchange, Refusal, readBody, sendJson, text } from "./http.ts";
import type { Machine, Run } from "./machine.ts";
import type { User, Users } from "./users.ts";

const KINDS: Readonly<Record<string, string>> = { f: "FILE", d: "DIRECTORY", l: "SYMLINK" };

/** `filesystem.Filesystem` and `/files` of one machine. Everything is done by programs inside it: no name of its own is ever opened out here. */
export class Files {
  readonly #machine: Machine;
  readonly #users: Users;

  constructor(machine: Machine, users: Users) {
    this.#machine = machine;
    this.#users = users;
  }

  readonly unary: Readonly<Record<string, Unary>> = {
    Stat: async (message, exchange) => ({ entry: await this.#stat(...(await this.#at(message["path"], exchange))) }),
    MakeDir: async (message, exchange) => {
      const [path, user] = await this.#at(message["path"], exchange);
      const { code } = await this.#as(user, 'test ! -e "$1" || exit 17; mkdir -p "$1"', path);
      if (code === 17) throw new ConnectError("already_exists", `directory already exists: ${path}`);
      if (code !== 0) throw new ConnectError("internal", `cannot make ${path}`);
      return { entry: await this.#stat(path, user) };
    },
    Move: async (message, exchange) => {
      const [from, user] = await this.#at(message["source"], exchange);
      const [to] = await this.#at(message["destination"], exchange);
      const { code, stderr } = await this.#as(user, 'mkdir -p "$(dirname "$2")" && mv -T "$1" "$2"', from, to);
      if (code !== 0) throw new ConnectError("not_found", stderr);
      return { entry: await this.#stat(to, user) };
    },
    ListDir: async (message, exchange) => {
      const [path, user] = await this.#at(message["path"], exchange);
      const depth = String(Math.max(1, Number(message["depth"] ?? 1)));
      const script = 'test -d "$1" || exit 3; find "$1" -mindepth 1 -maxdepth "$2" -printf "$3"';
      const { code, stdout } = await this.#as(user, script, path, depth, `${ENTRY}\\0`);
      if (code === 3) throw new ConnectError("not_found", `directory not found: ${path}`);
      return { entries: stdout.toString().split("\0").filter(Boolean).map(toEntry) };
    },
    Remove: async (message, exchange) => {
      const [path, user] = await this.#at(message["path"], exchange);
      await this.#stat(path, user);
      await this.#as(user, 'rm -rf -- "$1"', path);
      return {};
    },
  };

  async download({ url, response }: Exchange): Promise<void> {
    const [path, user] = await this.#fromQuery(url);
    const { code, stdout } = await this.#as(user, 'test -d "$1" && exit 21; test -e "$1" || exit 2; cat -- "$1"', path);
    if (code === 2) throw new Refusal(404, `file not found at path '${path}'`);
    if (code === 21) throw new Refusal(400, `path '${path}' is a directory`);
    if (code !== 0) throw new Refusal(500, `cannot read '${path}'`);
    response
      .writeHead(200, { "content-type": "application/octet-stream", "content-length": stdout.length })
      .end(stdout);
  }

  async upload({ url, request, response }: Exchange): Promise<void> {
    const sent = await readBody(request);
    const body = request.headers["content-encoding"] === "gzip" ? gunzipSync(sent) : sent;
    const type = request.headers["content-type"] ?? "";
    const given = url.searchParams.get("path");
    const parts = type.startsWith("multipart/")
      ? await formFiles(body, type)
      : [{ name: given ?? "", data: new Uint8Array(body) }];
    const user = await this.#named(url.searchParams.get("username"));
    const written: unknown[] = [];
    for (const { name, data } of parts) {
      const path = resolve(parts.length === 1 && given !== null ? given : name, user);
      const script = 'test -d "$1" && exit 21; mkdir -p "$(dirname "$1")" && cat > "$1"';
      const { code, stderr } = await this.#as(user, script, { input: data }, path);
      if (code === 21) throw new Refusal(400, `path '${path}' is a directory`);
      if (code !== 0) throw new Refusal(/No space/.test(stderr) ? 507 : 500, stderr.trim());
      written.push({ name: path.slice(path.lastIndexOf("/") + 1), path, type: "file" });
    }
    sendJson(response, 200, written);
  }

  async #stat(path: string, user: User): Promise<unknown> {
    const script = 'find "$1" -maxdepth 0 -printf "$2"';
    const { code, stdout } = await this.#as(user, script, path, ENTRY);
    if (code !== 0) throw new ConnectError("not_found", `file not found: ${path}`);
    return toEntry(stdout.toString());
  }

  async #as(user: User, script: string, ...words: (string | { input: Uint8Array })[]): Promise<Run> {
    const argv = words.filter((word) => typeof word === "string");
    const input = words.find((word) => typeof word === "object");
    return this.#machine.run(["/bin/bash", "-c", script, "bash", ...argv], { user, ...input });
  }

  async #at(path: unknown, { request }: Exchange): Promise<[string, User]> {
    const user = await this.#users.of(request.headers.authorization);
    return [resolve(text(path) ?? "", user), user];
  }

  async #fromQuery(url: URL): Promise<[string, User]> {
    const user = await this.#named(url.searchParams.get("username"));
    return [resolve(url.searchParams.get("path") ?? "", user), user];
  }

  #named(name: string | null): Promise<User> {
    return this.#users.named(name ?? undefined).catch((error: unknown) => {
      throw new Refusal(401, error instanceof Error ? error.message : String(error));
    });
  }
}

/** Relative paths begin in the user's home. */
function resolve(path: string, user: User): string {
  const whole = path.startsWith("/") ? path : `${user.home}/${path.replace(/^~\/?/, "")}`;
  return whole.length > 1 ? whole.replace(/\/+$/, "") : whole;
}

async function formFiles(body: Buffer, type: string): Promise<{ name: string; data: Uint8Array }[]> {
  const form = await new Response(new Uint8Array(body), { headers: { "content-type": type } }).formData();
  const files = form.getAll("file").filter((file) => typeof file !== "string");
  // A part's own name keeps its folders, which the form's parser takes off.
  const names = [...body.toString("latin1").matchAll(/name="file"; filename="([^"]*)"/g)].map((match) =>
    Buffer.from(match[1] ?? "", "latin1").toString(),
  );
  return Promise.all(
    files.map(async (file, at) => ({ name: names[at] ?? file.name, data: new Uint8Array(await file.arrayBuffer()) })),
  );
}

const ENTRY = "%y\\t%s\\t%m\\t%u\\t%g\\t%T@\\t%l\\t%p";

function toEntry(line: string): unknown {
  const [kind = "", size, mode = "0", owner, group, changed, target, ...rest] = line.split("\t");
  const path = rest.join("\t");
  return {
    name: path.slice(path.lastIndexOf("/") + 1),
    type: `FILE_TYPE_${KINDS[kind] ?? "UNSPECIFIED"}`,
    ...{ path, size, mode: Number.parseInt(mode, 8), permissions: mode, owner, group },
    modifiedTime: new Date(Number(changed) * 1_000).toISOString(),
    ...(target !== "" && { symlinkTarget: target }),
  };
}

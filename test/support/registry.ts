import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** A registry of a test's own, over plain HTTP, with a folder of its own: what it gives is what was put into it. */
export interface TestRegistry extends AsyncDisposable {
  readonly port: number;
  /** `127.0.0.1:port`. */
  readonly address: string;
  /** Adds a blob; what a manifest says of it. */
  blob(repository: string, bytes: Uint8Array, mediaType: string): Promise<Descriptor>;
  /** Gives a manifest, or an index, a tag; its digest is in what others say of it. */
  manifest(repository: string, tag: string, value: { readonly mediaType: string }): Promise<Descriptor>;
}

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export interface Login {
  readonly user: string;
  readonly password: string;
}

/** Debian's `docker-registry`. `login`: whoever has another name, or none, is refused. Rejects with the reason where that cannot be had. */
export async function startRegistry(login?: Login): Promise<TestRegistry> {
  try {
    execFileSync("sh", ["-c", "command -v docker-registry"]);
  } catch {
    throw new Error("docker-registry is not installed");
  }
  const folder = mkdtempSync(join(tmpdir(), "sandlot-registry-"));
  writeFileSync(join(folder, "config.yml"), configOf(folder, login));
  const argv = ["--pdeathsig", "TERM", "docker-registry", "serve", join(folder, "config.yml")];
  const child = spawn("setpriv", argv, { stdio: ["ignore", "ignore", "pipe"] });
  try {
    const port = await portOf(child);
    return registryAt(port, login, async () => {
      await ended(child);
      rmSync(folder, { recursive: true, force: true });
    });
  } catch (error) {
    await ended(child);
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

function configOf(folder: string, login: Login | undefined): string {
  const lines = [
    "version: 0.1",
    `storage: { filesystem: { rootdirectory: ${JSON.stringify(join(folder, "data"))} } }`,
    "http: { addr: '127.0.0.1:0' }",
    "log: { level: info, formatter: json }",
  ];
  if (login !== undefined) {
    writeFileSync(join(folder, "users"), `${login.user}:${bcrypt(login.password)}\n`);
    lines.push(`auth: { htpasswd: { realm: tests, path: ${JSON.stringify(join(folder, "users"))} } }`);
  }
  return `${lines.join("\n")}\n`;
}

function bcrypt(password: string): string {
  return execFileSync("perl", ["-e", "print crypt($ARGV[0], q($2b$05$abcdefghijklmnopqrstuu))", password]).toString();
}

/** What it says that it listens on: the port is the kernel's choice. */
async function portOf({ stderr }: ChildProcess): Promise<number> {
  if (stderr === null) throw new Error("its log was expected");
  const said: string[] = [];
  for await (const line of createInterface({ input: stderr })) {
    said.push(line);
    const port = /listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port === undefined) continue;
    stderr.resume();
    return Number(port);
  }
  throw new Error(`docker-registry does not start: ${said.slice(-3).join("\n")}`);
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await gone;
}

function registryAt(port: number, login: Login | undefined, end: () => Promise<void>): TestRegistry {
  const address = `127.0.0.1:${port}`;
  const authorization = login && `Basic ${Buffer.from(`${login.user}:${login.password}`).toString("base64")}`;
  const send = async (method: string, url: string, body?: Uint8Array, type = "application/octet-stream") => {
    const headers = { "content-type": type, ...(authorization && { authorization }) };
    const answer = await fetch(new URL(url, `http://${address}`), { method, headers, body: body ?? null });
    const said = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${said}`);
    return answer.headers.get("location") ?? "";
  };
  const describe = (bytes: Uint8Array, mediaType: string): Descriptor => {
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    return { mediaType, digest, size: bytes.length };
  };
  return {
    ...{ port, address },
    async blob(repository, bytes, mediaType) {
      const described = describe(bytes, mediaType);
      const to = new URL(await send("POST", `/v2/${repository}/blobs/uploads/`), `http://${address}`);
      to.searchParams.set("digest", described.digest);
      await send("PUT", `${to.pathname}${to.search}`, bytes);
      return described;
    },
    async manifest(repository, tag, value) {
      const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...value }));
      await send("PUT", `/v2/${repository}/manifests/${tag}`, bytes, value.mediaType);
      return describe(bytes, value.mediaType);
    },
    [Symbol.asyncDispose]: end,
  };
}

import { posix } from "node:path";
import { Readable } from "node:stream";
import type { Container } from "dockerode";
import { SandlotError } from "../../errors.ts";
import { folderOf, TAR_END } from "../archive/tar.ts";
import { type Engine, readable, statusOf } from "./engine.ts";

export interface Viewing {
  readonly engine: Engine;
  /** Frozen, or dead. */
  readonly of: Container;
  readonly in: Container;
  /** A path that is not there. */
  readonly at: string;
  /** See `View`. */
  readonly within: string | undefined;
  /** More than this is no view at all: the path is then not there. */
  readonly maxBytes: number;
  /** Removes a path in the sandbox that looks. */
  readonly remove: (path: string) => Promise<void>;
}

/** A copy of the files of one container, at a path of another that runs: private and writable. It goes through the engine: nothing of it touches this host. */
export async function copyView(viewing: Viewing): Promise<void> {
  const { engine, of, at, within, maxBytes } = viewing;
  const there = await engineStat(engine, viewing.in, at);
  if (there !== undefined) throw new SandlotError("sandbox", `a view could not be attached: ${at}: File exists`);
  const put = (path: string, tar: AsyncIterable<Uint8Array>) =>
    engine.act("show a sandbox in another", () => viewing.in.putArchive(Readable.from(tar), { path }), {
      timeoutMs: engine.waits.filesMs,
    });
  const above = within === undefined ? "/" : posix.dirname(posix.normalize(within));
  await put("/", folders(posix.join(at, above)));
  if (within !== undefined && !(await leadsThere(engine, of, within))) return;
  const read = () => (within === undefined ? of.export() : of.getArchive({ path: posix.normalize(within) }));
  const answer = await engine.act("read the files of a sandbox", read);
  if (answer === undefined) return;
  const files = readable(answer);
  try {
    await put(posix.join(at, above), bounded(files, maxBytes));
  } catch (error) {
    if (!isTooLarge(error)) throw error;
    await viewing.remove(at);
  } finally {
    files.destroy();
  }
}

/** Whether the folder is there, and is reached by no link: an engine would follow one on the way to it. */
async function leadsThere(engine: Engine, of: Container, within: string): Promise<boolean> {
  const names = posix.normalize(within).split("/").slice(1);
  for (const [index] of names.entries()) {
    const found = await engineStat(engine, of, `/${names.slice(0, index + 1).join("/")}`);
    if (found !== "folder") return false;
  }
  return true;
}

/** What is at a path, without following a link; undefined = nothing. */
async function engineStat(engine: Engine, container: Container, path: string): Promise<"folder" | "other" | undefined> {
  try {
    const answer = await engine.read("look for a path", () => container.infoArchive({ path }));
    const { headers } = answer as unknown as { readonly headers: Readonly<Record<string, string>> }; // typed as a stream
    const told = Buffer.from(headers["x-docker-container-path-stat"] ?? "", "base64").toString();
    const { mode } = JSON.parse(told) as { readonly mode: number }; // as the API has it
    return mode >= MODE_FOLDER ? "folder" : "other";
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

/** The highest bit of Go's file modes. */
const MODE_FOLDER = 2 ** 31;

/** The folder with those that hold it. */
async function* folders(at: string): AsyncGenerator<Uint8Array> {
  const names = posix
    .normalize(at)
    .split("/")
    .filter((name) => name !== "");
  for (const [index] of names.entries()) {
    yield folderOf(names.slice(0, index + 1).join("/"), { mode: 0o755, uid: 0, gid: 0, mtimeMs: 0 }, {});
  }
  yield TAR_END;
}

class TooLarge extends Error {}

function isTooLarge(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof TooLarge) return true;
  return false;
}

async function* bounded(source: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new TooLarge(`more than ${maxBytes} bytes`);
    yield chunk;
  }
}

import { Readable } from "node:stream";
import type { Container } from "dockerode";
import { SandlotError } from "../../errors.ts";
import { folderOf, TAR_END } from "../archive/tar.ts";
import { type Engine, statusOf } from "./engine.ts";

export interface Viewing {
  readonly engine: Engine;
  /** Frozen, or dead. */
  readonly of: Container;
  readonly in: Container;
  /** A path that is not there. */
  readonly at: string;
  /** More than this is no view at all: the path is then not there. */
  readonly maxBytes: number;
  /** Removes a path in the sandbox that looks. */
  readonly remove: (path: string) => Promise<void>;
}

/** A copy of all the files of one container, at a path of another that runs: private and writable. It goes through the engine: nothing of it touches this host. */
export async function copyView(viewing: Viewing): Promise<void> {
  const { engine, of, at, maxBytes } = viewing;
  if (await isThere(viewing)) throw new SandlotError("sandbox", `a view could not be attached: ${at}: File exists`);
  const put = (path: string, tar: AsyncIterable<Uint8Array>) =>
    engine.act("show a sandbox in another", () => viewing.in.putArchive(Readable.from(tar), { path }), {
      timeoutMs: COPY_MS,
    });
  await put("/", folders(at));
  const stream = await engine.act("read the files of a sandbox", () => of.export());
  if (stream === undefined) return;
  try {
    await put(at, bounded(stream as AsyncIterable<Uint8Array>, maxBytes));
  } catch (error) {
    if (!isTooLarge(error)) throw error;
    await viewing.remove(at);
  } finally {
    Readable.from(stream).destroy();
  }
}

const COPY_MS = 600_000;

async function isThere({ engine, in: container, at }: Viewing): Promise<boolean> {
  try {
    await engine.read("look for a path", () => container.infoArchive({ path: at }));
    return true;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw error;
  }
}

async function* folders(at: string): AsyncGenerator<Uint8Array> {
  yield folderOf(at.slice(1), { mode: 0o755, uid: 0, gid: 0, mtimeMs: 0 }, {});
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

import { basename, dirname } from "node:path";
import { Readable } from "node:stream";
import type { Container } from "dockerode";
import { readFrom } from "../archive/host-tar.ts";
import { COPIED_RUNNER } from "./container.ts";
import type { Engine } from "./engine.ts";

/** Puts the runner's program into a container that has not begun, for an engine that does not see this host's files. */
export async function copyRunner(engine: Engine, container: Container, runnerPath: string): Promise<void> {
  const name = basename(runnerPath);
  const rename = `--transform=s,.*,${COPIED_RUNNER.slice(1)},`;
  const tar = readFrom(
    dirname(runnerPath),
    ["tar", "-cf", "-", "--owner=0", "--group=0", "--mode=0555", rename, "--", name],
    new AbortController().signal,
  );
  await engine.act("copy the runner", () => container.putArchive(Readable.from(tar), { path: "/" }));
}

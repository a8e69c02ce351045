import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Docker from "dockerode";

const IMAGE = "sandlot-bench:latest";

/** The peer: Docker's engine, the one that runs here or one of our own on a folder and socket of its own. */
export class DockerPeer {
  readonly name: string;
  readonly #docker: Docker;
  readonly #stop: () => Promise<void>;

  private constructor(name: string, docker: Docker, stop: () => Promise<void>) {
    this.name = name;
    this.#docker = docker;
    this.#stop = stop;
  }

  /** Undefined, with the reason printed, where no engine can be had. */
  static async open(say: (line: string) => void): Promise<DockerPeer | undefined> {
    const engine = (await running()) ?? (await startEngine(say));
    if (!engine) return undefined;
    const { docker, stop } = engine;
    const [version, info] = [await docker.version(), await docker.info()];
    const name = `docker ${version.Version} (${info.Driver}, ${info.DefaultRuntime}, cgroup v${info.CgroupVersion ?? "1"})`;
    return new DockerPeer(name, docker, stop);
  }

  async importRoot(folder: string): Promise<void> {
    const tar = spawn("tar", ["-C", folder, "-cf", "-", "."], { stdio: ["ignore", "pipe", "ignore"] });
    const [repo, tag] = IMAGE.split(":");
    await drained(await this.#docker.importImage(tar.stdout, { repo, tag }));
  }

  async create(): Promise<Docker.Container> {
    const container = await this.#docker.createContainer({
      Image: IMAGE,
      Cmd: ["sleep", "infinity"],
      WorkingDir: "/testbed",
      HostConfig: { NetworkMode: "none", Memory: 2 * 2 ** 30, NanoCpus: 1e9, PidsLimit: 512 },
    });
    await container.start();
    return container;
  }

  async exec(container: Docker.Container, command: string): Promise<{ exitCode: number; output: Buffer }> {
    const exec = await container.exec({ Cmd: ["/bin/bash", "-c", command], AttachStdout: true, AttachStderr: true });
    const output = await drained(await exec.start({}));
    const { ExitCode } = await exec.inspect();
    return { exitCode: ExitCode ?? -1, output };
  }

  async remove(container: Docker.Container): Promise<void> {
    await container.remove({ force: true });
  }

  /** PSS of all processes that exist for a container: its own and its shim's. */
  async pids(container: Docker.Container): Promise<number[]> {
    const { State } = await container.inspect();
    return [State.Pid];
  }

  async close(): Promise<void> {
    await this.#stop();
  }
}

interface Engine {
  readonly docker: Docker;
  readonly stop: () => Promise<void>;
}

async function running(): Promise<Engine | undefined> {
  const docker = new Docker({ socketPath: "/var/run/docker.sock" });
  return (await answers(docker)) ? { docker, stop: async () => undefined } : undefined;
}

async function startEngine(say: (line: string) => void): Promise<Engine | undefined> {
  const folder = mkdtempSync(join(tmpdir(), "sandlot-bench-docker-"));
  const at = (name: string): string => join(folder, name);
  mkdirSync(at("data"));
  const log = openSync(at("log"), "w");
  const flags = [
    "--data-root",
    at("data"),
    "--exec-root",
    at("exec"),
    "--pidfile",
    at("pid"),
    "--host",
    `unix://${at("socket")}`,
    "--bridge=none",
    "--iptables=false",
  ];
  const daemon = spawn("dockerd", flags, { stdio: ["ignore", log, log] });
  const failed = once(daemon, "error").then(([error]) => String(error));
  failed.catch(() => undefined);
  const docker = new Docker({ socketPath: at("socket") });
  const stop = () => stopEngine(daemon, folder);
  for (let tries = 0; tries < 150; tries++) {
    if (await answers(docker)) return { docker, stop };
    if (daemon.exitCode !== null || daemon.pid === undefined) break;
    await sleep(200);
  }
  say(
    "no Docker engine answers here, and dockerd (Debian package docker.io) could not be started: measured without a peer",
  );
  await stop();
  return undefined;
}

async function stopEngine(daemon: ChildProcess, folder: string): Promise<void> {
  if (daemon.pid !== undefined && daemon.exitCode === null) {
    daemon.kill("SIGTERM");
    await once(daemon, "exit");
  }
  rmSync(folder, { recursive: true, force: true });
}

async function answers(docker: Docker): Promise<boolean> {
  return docker.ping().then(
    () => true,
    () => false,
  );
}

async function drained(stream: NodeJS.ReadableStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { create, type DescMethod, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { type Client, credentials, makeClientConstructor, type ServiceError, status } from "@grpc/grpc-js";
import type { Grade } from "../src/gen/sandlot/v1/grade_pb.ts";
import { RolloutService } from "../src/gen/sandlot/v1/rollout_service_pb.ts";
import type { Trajectory } from "../src/gen/sandlot/v1/trajectory_pb.ts";
import { serviceDefinition } from "../src/server/definition.ts";

const MIB64 = 64 * 2 ** 20;
const TASK = "bench-task";
/** As of clients that wait for a grade: an engine that is slow loses no reward by it. */
const DEADLINE_MS = 1_800_000;
const ATTEMPTS = 20;

type Methods = typeof RolloutService.method;

/** Our own server, started as a user starts it, and its client over gRPC. */
export class OurServer {
  readonly #process: ChildProcess;
  readonly #client: Client & Record<string, unknown>;
  readonly #folder: string;
  #attempts = 0;

  private constructor(server: ChildProcess, client: Client, folder: string) {
    this.#process = server;
    this.#client = client as Client & Record<string, unknown>; // grpc-js makes the methods at run time
    this.#folder = folder;
  }

  /** `root` is an unpacked root file system, undefined: the host's system folders; `warm` sandboxes are kept ready per environment. */
  static async start(
    folder: string,
    root: string | undefined,
    { disk, warm, backend }: { disk: "auto" | "watched"; warm: number; backend?: object },
  ): Promise<OurServer> {
    mkdirSync(folder, { recursive: true });
    const ready = join(folder, "ready");
    const [config, tasks] = [join(folder, "config.yaml"), join(folder, "tasks.jsonl")];
    writeFileSync(
      config,
      [
        `backend: ${JSON.stringify(backend ?? { type: "oci", disk })}`,
        "pools: { default: { slots: 1000 } }",
        "sandboxes: { total: 1000 }",
        `warm: { per_environment: ${warm}, total: ${warm} }`,
        "limits: { defaults: { max_steps: 100000, max_turns: 100000 } }",
        "log: { level: warn }",
      ].join("\n"),
    );
    writeFileSync(tasks, `${JSON.stringify(benchTask(folder, root))}\n`);
    const server = spawn(
      process.execPath,
      [
        "src/cli/main.ts",
        "serve",
        "--config",
        config,
        "--state",
        join(folder, "state"),
        "--tasks",
        tasks,
        "--listen",
        "127.0.0.1:0",
        "--ready-file",
        ready,
      ],
      { cwd: join(import.meta.dirname, ".."), stdio: ["ignore", "ignore", "inherit"] },
    );
    for (let tries = 0; tries < 600 && !existsSync(ready); tries++) {
      if (server.exitCode !== null) throw new Error(`the server ended with exit code ${server.exitCode}`);
      await sleep(100);
    }
    const Rollouts = makeClientConstructor(serviceDefinition(RolloutService), "RolloutService");
    const address = readFileSync(ready, "utf8").trim();
    const options = { "grpc.max_receive_message_length": MIB64, "grpc.max_send_message_length": MIB64 };
    return new OurServer(server, new Rollouts(address, credentials.createInsecure(), options), folder);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  create(): Promise<Trajectory> {
    const attemptId = `attempt-${++this.#attempts}`;
    return this.#call(RolloutService.method.create, { attemptId, what: { case: "taskId", value: TASK } });
  }

  async bash(trajectoryId: string, command: string): Promise<MessageShape<Methods["execute"]["output"]>> {
    const callId = crypto.randomUUID();
    const argumentsJson = JSON.stringify({ command });
    return this.#call(RolloutService.method.execute, { trajectoryId, callId, tool: "bash", argumentsJson });
  }

  /** A grade on a changed tree. */
  async submitted(trajectoryId: string): Promise<Grade> {
    await this.bash(trajectoryId, "echo '# changed' >> test_one.py");
    return this.submit(trajectoryId);
  }

  submit(trajectoryId: string): Promise<Grade> {
    return this.#call(RolloutService.method.grade, {
      subject: { case: "trajectoryId", value: trajectoryId },
      finalize: true,
    });
  }

  async release(...trajectoryIds: string[]): Promise<void> {
    await this.#call(RolloutService.method.release, { trajectoryIds });
  }

  /** Prepares the environment, and lets the server's code be compiled as it is after a minute of work: trainers run for days. */
  async warmUp(): Promise<void> {
    for (let trajectory = 0; trajectory < 20; trajectory++) {
      const { id } = await this.create();
      for (let i = 0; i < 50; i++) await this.bash(id, "true");
      if (trajectory % 2 === 0) await this.submitted(id);
      await this.release(id);
    }
  }

  async stop(): Promise<void> {
    this.#client.close();
    this.#process.kill("SIGTERM");
    if (this.#process.exitCode === null) await once(this.#process, "exit");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Again where the connection broke, as clients do: every call may be repeated. */
  async #call<M extends DescMethod>(
    method: M,
    request: MessageInitShape<M["input"]>,
  ): Promise<MessageShape<M["output"]>> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(method, request);
      } catch (error) {
        const { code } = error as ServiceError; // grpc-js rejects with nothing else
        if (attempt === ATTEMPTS || (code !== status.INTERNAL && code !== status.UNAVAILABLE)) throw error;
        await sleep(1_000);
      }
    }
  }

  #once<M extends DescMethod>(method: M, request: MessageInitShape<M["input"]>): Promise<MessageShape<M["output"]>> {
    const call = this.#client[method.localName] as (
      request: object,
      options: object,
      done: (error: ServiceError | null, value: unknown) => void,
    ) => void;
    return new Promise((resolve, reject) =>
      call.call(this.#client, create(method.input, request), { deadline: Date.now() + DEADLINE_MS }, (error, value) =>
        error ? reject(error) : resolve(value as MessageShape<M["output"]>),
      ),
    );
  }
}

/** A repository with one test, so that a grade is little more than its overhead. */
function benchTask(folder: string, root: string | undefined): object {
  const repository = join(folder, "repository");
  mkdirSync(repository, { recursive: true });
  writeFileSync(
    join(repository, "test_one.py"),
    "import unittest\n\nclass One(unittest.TestCase):\n    def test_one(self):\n        pass\n",
  );
  const git = (...args: string[]): string =>
    execFileSync("git", ["-C", repository, "-c", "user.name=bench", "-c", "user.email=bench@localhost", ...args], {
      encoding: "utf8",
    });
  git("init", "-q");
  git("add", ".");
  git("commit", "-qm", "One test");
  const script = [
    "#!/bin/bash",
    "set -uxo pipefail",
    ": '>>>>> Start Test Output'",
    "python3 -m unittest -v test_one",
    ": '>>>>> End Test Output'",
    "",
  ].join("\n");
  return {
    id: TASK,
    source: { dataset: "bench" },
    instruction: "Nothing to do.",
    environment: {
      rootfs: root === undefined ? { type: "host" } : { type: "directory", path: root },
      repository: { type: "path", path: repository },
      baseCommit: git("rev-parse", "HEAD").trim(),
    },
    grader: {
      rule: "swebench@5.0.2",
      apply: "swebench@5.0.2",
      parser: "unittest",
      script,
      failToPass: ["test_one.One.test_one"],
    },
  };
}

import { once } from "node:events";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import {
  Client,
  credentials,
  type Client as GrpcClient,
  makeClientConstructor,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { pino } from "pino";
import { afterEach, expect, test } from "vitest";
import { SandlotError } from "../errors.ts";
import { Health, HealthCheckRequestSchema, type HealthCheckResponse } from "../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection, ServerReflectionRequestSchema } from "../gen/grpc/reflection/v1/reflection_pb.ts";
import type { Rollouts, StreamEvent, Waiting } from "../trajectory/rollouts.ts";
import { connect } from "./client.ts";
import { serviceDefinition } from "./definition.ts";
import { type Listening, type ListenOptions, listen, splitAddress } from "./listen.ts";

const ID = `sandlot-a1b2c3-${"0".repeat(32)}`;
const open: { close(): unknown }[] = [];
const logged: { msg: string; [key: string]: unknown }[] = [];

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
  logged.length = 0;
});

test("health says NOT_SERVING until the server is ready, and a watcher hears of each change", async () => {
  const server = await start({});
  const heard: number[] = [];
  const health = new (makeClientConstructor(serviceDefinition(Health), "Health"))(
    server.address,
    credentials.createInsecure(),
  );
  open.push(health);
  const asked = create(HealthCheckRequestSchema, { service: "sandlot.v1.RolloutService" });
  const watch = health["watch"] as (request: object) => AsyncIterable<HealthCheckResponse>; // made by makeClientConstructor
  for await (const { status: now } of watch.call(health, asked)) {
    heard.push(now);
    if (heard.length === 3) break;
    server.setServing(heard.length === 1);
  }
  expect(heard).toEqual([2, 1, 2]);
});

test("bytes that are no message are invalid, and the server goes on", async () => {
  const server = await start({ info: () => never() });
  const answer = await raw(server, "/sandlot.v1.RolloutService/Create", Buffer.from([0xff, 0xff, 0xff]));
  expect(answer).toMatchObject({ code: status.INVALID_ARGUMENT });
  expect(await raw(server, "/sandlot.v1.RolloutService/GetServerInfo", Buffer.of())).toMatchObject({
    code: status.INTERNAL,
    details: "internal error",
  });
});

test("a message over 64 MiB is refused without a promise that waiting helps", async () => {
  const server = await start({});
  const answer = await raw(server, "/sandlot.v1.RolloutService/Create", Buffer.alloc((64 << 20) + 1));
  expect(answer).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  expect((answer as ServiceError).metadata.get("grpc-status-details-bin")).toEqual([]);
});

test("a patch of 60 MiB arrives whole", async () => {
  let got = 0;
  const server = await start({
    gradePatch: async ({ patch }) => {
      got = patch.length;
      throw new SandlotError("invalid", "seen");
    },
  });
  const subject = { case: "submission", value: { taskId: "t", patch: new Uint8Array(60 << 20) } } as const;
  await expect(client(server).grade({ subject })).rejects.toMatchObject({ fault: "invalid" });
  expect(got).toBe(60 << 20);
});

test("a fault reaches the client with its field", async () => {
  const server = await start({});
  await expect(client(server).create({})).rejects.toMatchObject({ fault: "invalid", facts: { field: "attempt_id" } });
});

test("a wrong token and a missing one are refused, and the right one is let in", async () => {
  const tokens = [{ token: "right", scopes: ["rollout"] as const }];
  const server = await start({ tasks: () => [] }, { tokens });
  await expect(client(server, "wrong").listTasks({})).rejects.toMatchObject({ fault: "unauthenticated" });
  await expect(client(server).listTasks({})).rejects.toMatchObject({ fault: "unauthenticated" });
  await expect(client(server, "right").listTasks({})).resolves.toMatchObject({ tasks: [] });
});

test("without tokens only a loopback address is taken", async () => {
  await expect(start({}, { address: "0.0.0.0:0" })).rejects.toMatchObject({
    fault: "invalid",
    facts: { knob: "SANDLOT_TOKEN_<NAME>" },
  });
  const server = await start({}, { address: "localhost:0" });
  expect(server.address).toMatch(/^localhost:\d+$/);
});

test("an address that is taken is refused in words", async () => {
  const server = await start({});
  await expect(start({}, { address: server.address })).rejects.toThrow(/cannot bind/);
  expect(() => splitAddress("7000")).toThrow(/expected HOST:PORT/);
  expect(splitAddress("[::1]:80")).toEqual({ host: "::1", port: 80 });
});

test("the deadline of a call and its cancellation reach the work", async () => {
  const seen = Promise.withResolvers<Waiting>();
  const server = await start({
    execute: async (_call, waiting) => {
      seen.resolve(waiting);
      await once(waiting.signal, "abort");
      throw waiting.signal.reason;
    },
  });
  const stop = new AbortController();
  const call = client(server).execute({ trajectoryId: ID, callId: "c" }, { timeoutMs: 300_000, signal: stop.signal });
  const { deadline, signal } = await seen.promise;
  expect(deadline - performance.now()).toBeGreaterThan(200_000);
  expect(deadline - performance.now()).toBeLessThanOrEqual(300_000);
  stop.abort();
  await expect(call).rejects.toThrow(/CANCELLED/);
  await until(() => signal.aborted);
});

test("a stream that is taken up again begins at the byte that was asked for", async () => {
  async function* events(): AsyncIterable<StreamEvent> {
    yield { type: "queued", ahead: 2 };
    yield { type: "output", chunk: { offset: 0, stream: "stdout", data: Buffer.from("abc") } };
    yield { type: "output", chunk: { offset: 3, stream: "stderr", data: Buffer.alloc(600 * 1024, "x") } };
    yield { type: "progress", offset: 3 + 600 * 1024, runningMs: 5_000.4 };
  }
  const server = await start({ executeStream: events });
  const got: [string | undefined, bigint, number][] = [];
  for await (const { offset, event } of client(server).executeStream({
    trajectoryId: ID,
    callId: "c",
    fromOffset: 2n,
  })) {
    got.push([event.case, offset, event.value instanceof Uint8Array ? event.value.length : 0]);
  }
  expect(got).toEqual([
    ["queued", 0n, 0],
    ["stdout", 2n, 1],
    ["stderr", 3n, 256 * 1024],
    ["stderr", 3n + 256n * 1024n, 256 * 1024],
    ["stderr", 3n + 512n * 1024n, 88 * 1024],
    ["progress", 3n + 600n * 1024n, 0],
  ]);
});

test("what is hidden in a record stays on the server", async () => {
  async function* lines(): AsyncIterable<unknown> {
    yield { type: "grade", grade: { reward: 0, tests: { hidden: { failed: ["test_secret"] }, failed: 1 } } };
  }
  const server = await start({ record: lines });
  const got: string[] = [];
  for await (const { json } of client(server).getRecord({ trajectoryId: ID })) got.push(json);
  expect(got).toEqual(['{"type":"grade","grade":{"reward":0,"tests":{"failed":1}}}']);
});

test("a bug is told to the log, with the request's name, and not to the client", async () => {
  const server = await start({ get: async () => never() });
  await expect(client(server).getTrajectory({ trajectoryId: ID })).rejects.toThrow(/internal error/);
  await until(() => logged.length > 0);
  expect(logged).toMatchObject([
    { msg: "a bug", method: "GetTrajectory", trajectoryId: ID, err: { message: "secret" } },
  ]);
});

test("an answer that cannot be encoded is a bug too", async () => {
  const server = await start({ release: async () => ({ ended: [], unknown: [], cancelledCreates: 0.5 }) });
  await expect(client(server).release({})).rejects.toThrow(/internal error/);
  await until(() => logged.length > 0);
  expect(logged).toMatchObject([{ msg: "a bug", method: "Release" }]);
});

test("a client that leaves a reflection stream open and goes is no bug", async () => {
  const server = await start({});
  const Reflection = makeClientConstructor(serviceDefinition(ServerReflection), "ServerReflection");
  const reflection = new Reflection(server.address, credentials.createInsecure());
  open.push(reflection);
  const info = reflection["serverReflectionInfo"] as () => Duplex & { cancel(): void }; // made by makeClientConstructor
  const stream = info.call(reflection);
  stream.on("error", () => undefined);
  stream.write(create(ServerReflectionRequestSchema, { messageRequest: { case: "listServices", value: "" } }));
  await once(stream, "data");
  stream.cancel();
  await until(() => logged.length > 0);
  expect(logged).toMatchObject([{ method: "ServerReflectionInfo", msg: "call" }]);
});

function never(): never {
  throw new TypeError("secret");
}

async function start(rollouts: Partial<Rollouts>, options: Partial<ListenOptions> = {}): Promise<Listening> {
  const log = pino({ level: "debug" }, { write: (line) => void logged.push(JSON.parse(line)) });
  const server = await listen({
    address: "127.0.0.1:0",
    tokens: [],
    rollouts: rollouts as Rollouts, // each test gives what it calls
    version: "0",
    sandboxService: false,
    log,
    ...options,
  });
  open.push({ close: () => server.close(0) });
  return server;
}

function client(server: Listening, token?: string) {
  const connected = connect(server.address, { token });
  open.push(connected);
  return connected;
}

function raw(server: Listening, path: string, bytes: Buffer): Promise<unknown> {
  const grpc: GrpcClient = new Client(server.address, credentials.createInsecure());
  open.push(grpc);
  const same = (value: Buffer) => value;
  return new Promise((resolve) => {
    grpc.makeUnaryRequest(path, same, same, bytes, (error, value) => resolve(error ?? value));
  });
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("the condition did not come true within 60 s");
    await sleep(5);
  }
}

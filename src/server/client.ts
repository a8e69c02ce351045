import {
  create,
  type DescMessage,
  type DescService,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  type ClientReadableStream,
  credentials,
  type Client as GrpcClient,
  Metadata,
  makeClientConstructor,
  type ServiceError,
} from "@grpc/grpc-js";
import { type Fault, SandlotError } from "../errors.ts";
import { type ErrorInfo, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import { RolloutService } from "../gen/sandlot/v1/rollout_service_pb.ts";
import { serviceDefinition } from "./definition.ts";
import { STATUS_OF, statusDetails } from "./status.ts";

/** Unary rpcs as promises, streams as async iterables. */
export type Calls<S extends DescService> = { [K in keyof S["method"]]: CallOf<S["method"][K]> };
type CallOf<M> = M extends {
  methodKind: infer Kind;
  input: infer I extends DescMessage;
  output: infer O extends DescMessage;
}
  ? (
      request: MessageInitShape<I>,
      options?: CallOptions,
    ) => Kind extends "unary" ? Promise<MessageShape<O>> : AsyncIterable<MessageShape<O>>
  : never;

export interface CallOptions {
  /** Default 60 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export type Client = Calls<typeof RolloutService> & { close(): void };

const MESSAGE_BYTES = 64 << 20;

/** A client of a running server. Errors of the server arrive as SandlotError with the same fault. */
export function connect(address: string, token?: string): Client {
  const Constructor = makeClientConstructor(serviceDefinition(RolloutService), RolloutService.typeName);
  const grpc = new Constructor(address, credentials.createInsecure(), {
    "grpc.max_receive_message_length": MESSAGE_BYTES,
    "grpc.max_send_message_length": MESSAGE_BYTES,
  });
  const calls = RolloutService.methods.map((method) => {
    const invoke = method.methodKind === "unary" ? unary : stream;
    const call = (request: Record<string, unknown>, options: CallOptions = {}) =>
      invoke(grpc, method.localName, create(method.input, request), { ...options, metadata: metadata(token) });
    return [method.localName, call] as const;
  });
  return { ...(Object.fromEntries(calls) as Calls<typeof RolloutService>), close: () => grpc.close() }; // one per method, by construction
}

interface Sent extends CallOptions {
  readonly metadata: Metadata;
}

type UnaryMethod = (
  request: object,
  metadata: Metadata,
  options: object,
  done: (error: ServiceError | null, value: unknown) => void,
) => { cancel(): void };
type StreamMethod = (request: object, metadata: Metadata, options: object) => ClientReadableStream<unknown>;

function unary(grpc: GrpcClient, name: string, request: object, sent: Sent): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const method = Reflect.get(grpc, name) as UnaryMethod; // made by makeClientConstructor
    const call = method.call(grpc, request, sent.metadata, { deadline: deadline(sent) }, (error, value) =>
      error ? reject(fromStatus(error)) : resolve(value),
    );
    sent.signal?.addEventListener("abort", () => call.cancel(), { once: true });
  });
}

async function* stream(grpc: GrpcClient, name: string, request: object, sent: Sent): AsyncIterable<unknown> {
  const method = Reflect.get(grpc, name) as StreamMethod; // made by makeClientConstructor
  const call = method.call(grpc, request, sent.metadata, { deadline: deadline(sent) });
  sent.signal?.addEventListener("abort", () => call.cancel(), { once: true });
  try {
    yield* call;
  } catch (error) {
    throw isServiceError(error) ? fromStatus(error) : error;
  } finally {
    call.cancel();
  }
}

const deadline = ({ timeoutMs = 60_000 }: CallOptions): number => Date.now() + timeoutMs;

function metadata(token: string | undefined): Metadata {
  const carried = new Metadata();
  if (token !== undefined && token !== "") carried.set("authorization", `Bearer ${token}`);
  return carried;
}

/** What the server threw, as far as the wire tells. A status without a fault (a cut connection, a bug) stays a plain Error. */
export function fromStatus(error: ServiceError): Error {
  const details = statusDetails(error, ErrorInfoSchema, RetryInfoSchema);
  const info = details.find((detail): detail is ErrorInfo => detail.$typeName === ErrorInfoSchema.typeName);
  if (!info || !isFaultWord(info.reason)) return new Error(error.message, { cause: error });
  const { field, knob, trajectory_id: trajectoryId } = info.metadata;
  return new SandlotError(info.reason, error.details, {
    ...(field !== undefined && { field }),
    ...(knob !== undefined && { knob }),
    ...(trajectoryId !== undefined && { trajectoryId }),
    cause: error,
  });
}

const isFaultWord = (word: string): word is Fault => Object.hasOwn(STATUS_OF, word);

const isServiceError = (error: unknown): error is ServiceError =>
  error instanceof Error && "code" in error && "metadata" in error;

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
  status,
} from "@grpc/grpc-js";
import { type Fault, SandlotError } from "../errors.ts";
import { type ErrorInfo, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import { RolloutService } from "../gen/sandlot/v1/rollout_service_pb.ts";
import { serviceDefinition } from "./definition.ts";
import { type ClientTls, quarrel } from "./quarrel.ts";
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

export interface ConnectOptions {
  readonly token?: string | undefined;
  /** Plain text without it. */
  readonly tls?: ClientTls | undefined;
}

/** A client of the server at `HOST:PORT`. Errors of the server arrive as SandlotError with the same fault; what keeps the two apart in matters of TLS is `invalid`. */
export function connect(address: string, { token, tls }: ConnectOptions = {}): Client {
  const Constructor = makeClientConstructor(serviceDefinition(RolloutService), RolloutService.typeName);
  const trusted = tls
    ? credentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.cert ?? null)
    : credentials.createInsecure();
  const grpc = new Constructor(address, trusted, {
    "grpc.max_receive_message_length": MESSAGE_BYTES,
    "grpc.max_send_message_length": MESSAGE_BYTES,
    ...(tls?.serverName && { "grpc.ssl_target_name_override": tls.serverName }),
  });
  const explain = (error: ServiceError): Promise<Error> => explained(error, address, tls);
  const calls = RolloutService.methods.map((method) => {
    const invoke = method.methodKind === "unary" ? unary : stream;
    const call = (request: Record<string, unknown>, options: CallOptions = {}) =>
      invoke(grpc, method.localName, create(method.input, request), { ...options, metadata: metadata(token), explain });
    return [method.localName, call] as const;
  });
  return { ...(Object.fromEntries(calls) as Calls<typeof RolloutService>), close: () => grpc.close() }; // one per method, by construction
}

interface Sent extends CallOptions {
  readonly metadata: Metadata;
  readonly explain: (error: ServiceError) => Promise<Error>;
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
      error ? void sent.explain(error).then(reject) : resolve(value),
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
    throw isServiceError(error) ? await sent.explain(error) : error;
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

/** Of a server that was not reached gRPC tells little: a handshake of our own finds out whether TLS is why. */
async function explained(error: ServiceError, address: string, tls: ClientTls | undefined): Promise<Error> {
  const why = error.code === status.UNAVAILABLE ? await quarrel(address, tls) : undefined;
  if (why === undefined) return fromStatus(error);
  return new SandlotError("invalid", `server: no connection to ${address}: ${why}`, { field: "server", cause: error });
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

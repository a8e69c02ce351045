import { randomUUID } from "node:crypto";
import { type EventEmitter, once } from "node:events";
import type { DescMessage, DescMethod, DescService, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import {
  type Metadata,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { SandlotError } from "../errors.ts";
import type { Scopes } from "./authorize.ts";
import { encode, Malformed } from "./definition.ts";

/** A call as it arrives. */
export interface Incoming {
  /** Names the call in the log and in the trailers of an error. */
  readonly requestId: string;
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly peer: string;
  readonly metadata: Metadata;
  readonly request: unknown;
  /** Fires on cancel, deadline or a lost client. */
  readonly signal: AbortSignal;
  /** When the client stops waiting, as performance.now() counts; Infinity = it does not say. */
  readonly deadline: number;
  /** As performance.now() counts. */
  readonly startedAt: number;
}

/** What a handler gets besides its request. */
export interface Call extends Incoming {
  readonly scopes: Scopes;
}

export type Status = Partial<ServiceError>;

/** What is the same for every call. */
export interface Frame {
  /** Throws `unauthenticated` or `forbidden`. */
  authorize(call: Incoming): Scopes;
  /** Whatever a handler threw as a status: nothing else does that. */
  toStatus(error: unknown, call: Incoming): Promise<Status>;
  /** Called once per call, after the answer was handed over. */
  finished(call: Incoming, code: status, error?: unknown): void;
}

/** One plain function per rpc: a promise where one message is answered, an async iterable where a stream is; the same for what is asked. */
export type Handlers<S extends DescService> = { [K in keyof S["method"]]: Handle<S["method"][K]> };
type Handle<M> = M extends {
  methodKind: infer Kind;
  input: infer I extends DescMessage;
  output: infer O extends DescMessage;
}
  ? (
      request: Kind extends Streams ? AsyncIterable<MessageShape<I> | Malformed> : MessageShape<I>,
      call: Call,
    ) => Kind extends "unary" | "client_streaming" ? Promise<MessageInitShape<O>> : AsyncIterable<MessageInitShape<O>>
  : never;

/** Kinds whose requests are streams. */
type Streams = "client_streaming" | "bidi_streaming";
type Unary = ServerUnaryCall<unknown, unknown> | ServerReadableStream<unknown, unknown>;
type Stream = ServerWritableStream<unknown, unknown>;
/** What calls of all kinds have. */
type Surface = EventEmitter & Pick<Stream, "cancelled" | "metadata" | "getPeer" | "getDeadline">;
type Init = MessageInitShape<DescMessage>;
type AnyHandler = (request: unknown, call: Call) => unknown;

/** Handlers as grpc-js wants them. */
export function implementation<S extends DescService>(
  service: S,
  handlers: Handlers<S>,
  frame: Frame,
): UntypedServiceImplementation {
  const bind = (method: DescMethod) => {
    const handler = handlers[method.localName as keyof S["method"]] as AnyHandler; // Handlers<S> proves it
    const path = `/${service.typeName}/${method.name}`;
    return method.methodKind === "unary" || method.methodKind === "client_streaming"
      ? unary(handler, method, path, frame)
      : streaming(handler, method, path, frame);
  };
  return Object.fromEntries(service.methods.map((method) => [method.localName, bind(method)]));
}

function unary(handler: AnyHandler, { output }: DescMethod, path: string, frame: Frame) {
  return (call: Unary, done: (error: Status | null, value?: unknown) => void) => {
    const request = "request" in call ? call.request : call;
    const incoming = arrived(call, path, request);
    const answer = async () => {
      const about: Call = { ...incoming, scopes: frame.authorize(incoming) };
      return encode(output, create(output, (await handler(wellFormed(request), about)) as Init));
    };
    const run = async () => {
      try {
        const value = await answer();
        incoming.answered();
        done(null, value);
        frame.finished(incoming, status.OK);
      } catch (error) {
        const failure = await frame.toStatus(error, incoming);
        done(failure);
        frame.finished(incoming, failure.code ?? status.UNKNOWN, error);
      }
    };
    void run();
  };
}

function streaming(handler: AnyHandler, { output, methodKind }: DescMethod, path: string, frame: Frame) {
  const run = async (call: Stream): Promise<void> => {
    const request = methodKind === "bidi_streaming" ? call : call.request;
    const incoming = arrived(call, path, request);
    const { signal } = incoming;
    try {
      const about: Call = { ...incoming, scopes: frame.authorize(incoming) };
      for await (const message of handler(wellFormed(request), about) as AsyncIterable<Init>) {
        await send(call, encode(output, create(output, message)), signal);
        signal.throwIfAborted();
      }
      incoming.answered();
      call.end();
      frame.finished(incoming, status.OK);
    } catch (error) {
      const failure = await frame.toStatus(error, incoming);
      call.emit("error", failure);
      frame.finished(incoming, failure.code ?? status.UNKNOWN, error);
    }
  };
  return (call: Stream) => void run(call);
}

/** Resolves when there is room for more. Room is counted in messages: of large ones there is one at a time. */
async function send(call: Stream, message: Uint8Array, signal: AbortSignal): Promise<void> {
  const { promise: sent, resolve } = Promise.withResolvers<void>();
  const hasRoom = call.write(message, () => resolve());
  if (!hasRoom) await once(call, "drain", { signal });
  else if (message.length > LARGE) {
    const leave = (): void => resolve();
    signal.addEventListener("abort", leave, { once: true });
    await sent.finally(() => signal.removeEventListener("abort", leave));
  }
}

const LARGE = 65_536;

function wellFormed(request: unknown): unknown {
  if (request instanceof Malformed) throw new SandlotError("invalid", `The request cannot be read: ${request.reason}`);
  return request;
}

/** `answered`: grpc-js calls the end of every call a cancellation too. */
function arrived(call: Surface, path: string, request: unknown): Incoming & { answered(): void } {
  const abort = new AbortController();
  const cancelled = (): void => abort.abort();
  call.on("cancelled", cancelled);
  if (call.cancelled) abort.abort();
  const deadline = call.getDeadline();
  const startedAt = performance.now();
  return {
    requestId: requestId(call.metadata),
    path,
    peer: call.getPeer(),
    metadata: call.metadata,
    request,
    signal: abort.signal,
    answered: () => call.off("cancelled", cancelled),
    deadline: startedAt + (typeof deadline === "number" ? deadline : deadline.getTime()) - Date.now(),
    startedAt,
  };
}

/** The client's own `x-request-id` where it sent a harmless one. */
function requestId(metadata: Metadata): string {
  const [given] = metadata.get("x-request-id");
  return typeof given === "string" && /^[\w.-]{1,64}$/.test(given) ? given : randomUUID();
}

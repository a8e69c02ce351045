import type { DescService } from "@bufbuild/protobuf";
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from "@grpc/grpc-js";
import type { Logger } from "pino";
import { SandlotError } from "../errors.ts";
import { Health } from "../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../gen/grpc/reflection/v1/reflection_pb.ts";
import { RolloutService } from "../gen/sandlot/v1/rollout_service_pb.ts";
import { SandboxService } from "../gen/sandlot/v1/sandbox_service_pb.ts";
import type { Rollouts } from "../trajectory/rollouts.ts";
import { type Frame, implementation } from "./adapter.ts";
import { authorizer, type Scope, TOKENS, type Token } from "./authorize.ts";
import type { TlsCredentials } from "./certificate.ts";
import { serviceDefinition } from "./definition.ts";
import { health, Readiness } from "./health.ts";
import { reflection } from "./reflection.ts";
import { requestLog } from "./request-log.ts";
import { allRoutes } from "./routes/all.ts";
import { sandboxRoutes } from "./routes/sandbox.ts";
import { toStatus } from "./status.ts";

export interface ListenOptions {
  /** `HOST:PORT`; port 0 = any free one. */
  readonly address: string;
  readonly tokens: readonly Token[];
  /** Without it the port speaks plain text, on a loopback address only. */
  readonly tls?: TlsCredentials | undefined;
  /** Lets it speak plain text on other addresses too. */
  readonly clearText?: boolean;
  readonly rollouts: Rollouts;
  readonly version: string;
  /** Whether SandboxService is told of by reflection and health. */
  readonly sandboxService: boolean;
  readonly log: Logger;
}

type Protection = Pick<ListenOptions, "address" | "tokens" | "tls" | "clearText">;

/** A bound server. Health says NOT_SERVING until `setServing(true)`. */
export interface Listening {
  /** `HOST:PORT`, with TLS `grpcs://HOST:PORT`: the host as it was asked for and the port that was bound. */
  readonly address: string;
  setServing(serving: boolean): void;
  /** Lets running calls end for so long, then cuts them; none begins any more. */
  close(graceMs: number): Promise<void>;
}

const MESSAGE_BYTES = 64 << 20;
const CHANNEL = {
  "grpc.max_receive_message_length": MESSAGE_BYTES,
  "grpc.max_send_message_length": MESSAGE_BYTES,
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
};

export async function listen(options: ListenOptions): Promise<Listening> {
  const host = checkProtected(options);
  setLogVerbosity(logVerbosity.NONE); // it writes to the console what the errors below say too
  const server = new Server(CHANNEL);
  const readiness = new Readiness();
  addServices(server, options, readiness);
  const port = await bind(server, options);
  return {
    address: `${options.tls ? "grpcs://" : ""}${host.includes(":") ? `[${host}]` : host}:${port}`,
    setServing: (serving) => readiness.set(serving),
    close: (graceMs) => close(server, graceMs),
  };
}

/** Splits `HOST:PORT` and `[HOST]:PORT`; fault `invalid` names the field. */
export function splitAddress(address: string, field = "listen"): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host !== undefined && port <= 65_535) return { host, port };
  throw new SandlotError("invalid", `${field}: expected HOST:PORT, got ${JSON.stringify(address)}`, { field });
}

/** The host of an address that may be listened on: beyond this machine strangers may ask, and others may listen in. Fault `invalid` says what is lacking. */
export function checkProtected({ address, tokens, tls, clearText }: Protection): string {
  const { host } = splitAddress(address);
  if (isLoopback(host)) return host;
  if (tokens.length === 0) {
    const message = `listen: expected a loopback address, since no tokens are set, got ${address}; set a token (${TOKENS}, see secrets/README.md) to listen elsewhere`;
    throw new SandlotError("invalid", message, { field: "listen", knob: TOKENS });
  }
  if (tls || clearText) return host;
  const message = `listen: expected a loopback address, since there is no TLS, got ${address}; set tls.cert_file and tls.key_file, or say tls.tokens_travel_in_clear_text where something else protects them`;
  throw new SandlotError("invalid", message, { field: "listen", knob: "tls.cert_file" });
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function addServices(server: Server, options: ListenOptions, readiness: Readiness): void {
  const { rollouts, version, log } = options;
  const authorize = authorizer(options.tokens);
  const standard: Omit<Frame, "authorize"> = {
    toStatus: (error, call) => toStatus(error, call, (id) => rollouts.get(id)),
    finished: requestLog(log),
  };
  const open: Frame = { ...standard, authorize: () => new Set() };
  const guarded = (scope: Scope): Frame => ({ ...standard, authorize: ({ metadata }) => authorize(metadata, scope) });
  // A service that is not offered answers all the same, in words.
  const offered = options.sandboxService ? [SandboxService] : [];
  const served: DescService[] = [RolloutService, ...offered, Health, ServerReflection];
  const names = served.map((service) => service.typeName);
  const reflected = reflection(served);
  const routes = allRoutes({ rollouts, version, startedAt: new Date() });
  // The same messages under the older name, which older grpcurl asks for.
  const alpha = { ...ServerReflection, typeName: "grpc.reflection.v1alpha.ServerReflection" };
  server.addService(serviceDefinition(RolloutService), implementation(RolloutService, routes, guarded("rollout")));
  const sandboxes = implementation(SandboxService, sandboxRoutes(rollouts), guarded("sandbox"));
  server.addService(serviceDefinition(SandboxService), sandboxes);
  server.addService(serviceDefinition(Health), implementation(Health, health(readiness, names), open));
  server.addService(serviceDefinition(ServerReflection), implementation(ServerReflection, reflected, open));
  server.addService(serviceDefinition(alpha), implementation(ServerReflection, reflected, open));
}

function bind(server: Server, { address, tls }: ListenOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, tls ?? ServerCredentials.createInsecure(), (cause, port) => {
      if (!cause) resolve(port);
      else
        reject(
          new SandlotError("invalid", `listen: cannot bind ${address}: ${cause.message}`, { field: "listen", cause }),
        );
    });
  });
}

function close(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.forceShutdown(), graceMs);
    server.tryShutdown(() => {
      clearTimeout(cut);
      resolve();
    });
  });
}

import { randomBytes } from "node:crypto";
import { type Client, connect } from "../server/client.ts";
import { listen } from "../server/listen.ts";
import { openStack } from "./compose.ts";
import { openLog } from "./log.ts";
import { connectTo, REMOTE_HELP, REMOTE_OPTIONS, type RemoteFlags } from "./remote.ts";
import { readSettings, STACK_HELP, STACK_OPTIONS, type StackFlags } from "./settings.ts";
import { VERSION } from "./version.ts";

/** Options of every command that asks a server. */
export const SESSION_OPTIONS = { ...STACK_OPTIONS, ...REMOTE_OPTIONS } as const;

export const SESSION_HELP = `  --server HOST:PORT ask a running server (else one is started for this command alone)
${REMOTE_HELP}
${STACK_HELP}`;

export interface SessionFlags extends StackFlags, RemoteFlags {
  readonly server?: string | undefined;
}

/**
 * Runs `work` with a client of the named server, or of one that lives for this command only, on a loopback port with a token that nobody else has. An interrupt
 * ends the work by its signal, so that what was begun is put back.
 */
export async function withClient<T>(
  flags: SessionFlags,
  work: (client: Client, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return untilInterrupted(async (signal) => {
    if (flags.server === undefined) return withOwnServer(flags, (client) => work(client, signal));
    const client = connectTo(flags.server, flags);
    return work(client, signal).finally(() => client.close());
  });
}

/** SIGINT and SIGTERM end the work by its signal. */
export async function untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const interrupt = (): void => stop.abort(new Error("interrupted"));
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  try {
    return await work(stop.signal);
  } finally {
    process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
  }
}

async function withOwnServer<T>(flags: StackFlags, work: (client: Client) => Promise<T>): Promise<T> {
  const settings = readSettings(flags);
  const log = openLog("warn", settings.credentials);
  const stack = await openStack(settings, log);
  const token = randomBytes(24).toString("base64url");
  const tokens = [{ token, scopes: ["admin"] }] as const;
  try {
    const server = await listen({
      address: "127.0.0.1:0",
      tokens,
      rollouts: stack.rollouts,
      version: VERSION,
      sandboxService: false,
      log,
    });
    const client = connect(server.address, { token });
    return await work(client).finally(() => {
      client.close();
      return server.close(0);
    });
  } finally {
    await stack[Symbol.asyncDispose]();
  }
}

import { createPrivateKey } from "node:crypto";
import { createSecureContext } from "node:tls";
import { SandlotError } from "../errors.ts";
import { type Client, connect } from "../server/client.ts";
import { splitAddress } from "../server/listen.ts";
import type { ClientTls } from "../server/quarrel.ts";
import { UsageError } from "./arguments.ts";
import { readInput } from "./input.ts";

/** Options of every command that may ask a running server. */
export const REMOTE_OPTIONS = {
  server: { type: "string" },
  token: { type: "string" },
  "tls-ca": { type: "string" },
  "tls-cert": { type: "string" },
  "tls-key": { type: "string" },
  "tls-name": { type: "string" },
} as const;

export const REMOTE_HELP = `  --token TOKEN      for that server (else SANDLOT_TOKEN)
  --tls-ca FILE      authorities of a server at grpcs://HOST:PORT (else SANDLOT_TLS_CA_FILE, or those of Node)
  --tls-cert FILE    the certificate shown to a server that wants one (else SANDLOT_TLS_CERT_FILE)
  --tls-key FILE     its key (else SANDLOT_TLS_KEY_FILE)
  --tls-name NAME    the name in the server's certificate (else SANDLOT_TLS_SERVER_NAME, or that of the address)`;

export interface RemoteFlags {
  readonly token?: string | undefined;
  readonly "tls-ca"?: string | undefined;
  readonly "tls-cert"?: string | undefined;
  readonly "tls-key"?: string | undefined;
  readonly "tls-name"?: string | undefined;
}

/** A client of the server at `HOST:PORT` or `grpcs://HOST:PORT`. */
export function connectTo(server: string, flags: RemoteFlags, env: NodeJS.ProcessEnv = process.env): Client {
  const [, scheme = "grpc", address = ""] = /^(?:([a-z]+):\/\/)?(.*)$/.exec(server) ?? [];
  if (scheme !== "grpc" && scheme !== "grpcs") {
    throw new UsageError(`--server: expected HOST:PORT or grpcs://HOST:PORT, got ${JSON.stringify(server)}`);
  }
  splitAddress(address, "server");
  const tls = scheme === "grpcs" ? tlsOf(flags, env) : undefined;
  return connect(address, { token: flags.token ?? env["SANDLOT_TOKEN"], tls });
}

function tlsOf(flags: RemoteFlags, env: NodeJS.ProcessEnv): ClientTls {
  const file = (option: "tls-ca" | "tls-cert" | "tls-key"): Buffer | undefined => {
    const variable = `SANDLOT_${option.toUpperCase().replace("-", "_")}_FILE`;
    const named = flags[option] === undefined ? variable : `--${option}`;
    const path = flags[option] ?? env[variable];
    return path ? readInput(named, path) : undefined;
  };
  const [ca, cert, key] = [file("tls-ca"), file("tls-cert"), file("tls-key")];
  const serverName = flags["tls-name"] ?? env["SANDLOT_TLS_SERVER_NAME"];
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError("--tls-cert and --tls-key: expected both or neither");
  }
  const tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }), ...(serverName && { serverName }) };
  try {
    if (key) createPrivateKey(key);
    createSecureContext(tls);
  } catch (cause) {
    const words = cause instanceof Error ? cause.message : String(cause);
    const expected = "certificates in PEM, and the key of the client's without a passphrase";
    throw new SandlotError("invalid", `tls: expected ${expected}, got an error: ${words}`, { field: "tls", cause });
  }
  return tls;
}

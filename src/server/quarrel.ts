import { connect as connectTls, createSecureContext, type TLSSocket } from "node:tls";
import { splitAddress } from "./listen.ts";

/** How a client knows the server and shows itself; PEM. */
export interface ClientTls {
  /** Authorities of which the server must show a certificate; else those of Node. */
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  /** The name in the server's certificate, where it is not the one in the address. */
  readonly serverName?: string;
}

const PROBE_MS = 3_000;

/** What stands between a client and a server in matters of TLS, found by a handshake of its own; undefined when there is nothing, or nobody answers. */
export async function quarrel(address: string, tls: ClientTls | undefined): Promise<string | undefined> {
  const { host, port } = splitAddress(address);
  const socket = connectTls({
    ...{ host, port, ALPNProtocols: ["h2"], rejectUnauthorized: tls !== undefined },
    ...(tls?.serverName && { servername: tls.serverName }),
    secureContext: createSecureContext({ ca: tls?.ca, cert: tls?.cert, key: tls?.key }),
  });
  try {
    const error = await outcome(socket, tls !== undefined);
    return error === undefined ? (tls ? undefined : WANTS_TLS) : said(error, tls);
  } finally {
    socket.destroy();
  }
}

const WANTS_TLS = "the server speaks TLS, and this client plain text: use grpcs://HOST:PORT";

/** How Node refuses the certificate of an authority that it was not given, or one that has ended: the handshake succeeds, and that was all. */
const HUNG_UP =
  "the handshake was well, then it hung up, as for one of an authority that it does not know, or one that has ended";

/** The error, if one came. A server that will not have the client's certificate says so after the handshake, in place of its first frame. */
function outcome(socket: TLSSocket, untilHeard: boolean): Promise<Error | undefined> {
  return new Promise((resolve) => {
    let shaken = false;
    socket.once("secureConnect", () => {
      shaken = true;
      if (!untilHeard) resolve(undefined);
    });
    socket.once("data", () => resolve(undefined));
    const over = (error: Error): void => resolve(shaken && !/alert/.test(error.message) ? new Error(HUNG_UP) : error);
    socket.once("error", over);
    socket.once("close", () => over(new Error("closed")));
    socket.setTimeout(PROBE_MS, () => resolve(new Error("no answer")));
  });
}

function said(error: Error, tls: ClientTls | undefined): string | undefined {
  const { message } = error;
  const alert = /alert ([a-z ]+)/.exec(message)?.[1];
  if (!tls) return alert === undefined ? undefined : WANTS_TLS;
  if (/wrong version number|http request/.test(message)) {
    return "the server speaks plain text, and this client TLS: use HOST:PORT without grpcs://";
  }
  if (alert !== undefined || message === HUNG_UP) {
    const shown = tls.cert ? "" : " (none was named)";
    return `the server will not have the certificate of this client${shown}: ${alert?.trim() ?? HUNG_UP}`;
  }
  const code = "code" in error ? String(error.code) : "";
  if (!CERTIFICATE.test(code)) return undefined;
  const trusted = tls.ca ? "the authorities that were named" : "Node's authorities (none were named)";
  return `the certificate of the server will not do: ${message.split(";")[0]} (trusted: ${trusted})`;
}

/** Of errors about the other side's certificate. */
const CERTIFICATE = /CERT|SIGNATURE|ISSUER|ALTNAME|CRL/;

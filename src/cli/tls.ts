import { unwatchFile, watchFile } from "node:fs";
import { resolve } from "node:path";
import type { Logger } from "pino";
import type { Config } from "../config.ts";
import { type Certificate, type Pem, TlsCredentials } from "../server/certificate.ts";
import { readKeyFile } from "./input.ts";

const LOOK_MS = 5_000;

/** TLS as the settings have it; undefined where they have none. Fault `invalid` names the setting whose file will not do. */
export function openTls(tls: Config["tls"]): TlsCredentials | undefined {
  return tls.cert_file === "" ? undefined : new TlsCredentials(read(tls));
}

/**
 * Shows new certificates once their files change, which are looked at every 5 s (through links, as a renewed secret in a pod
 * comes); one that will not do is logged and the last good one stays. Returns what ends it.
 */
export function followTls(credentials: TlsCredentials, tls: Config["tls"], log: Logger): () => void {
  const renew = (): void => {
    try {
      credentials.replace(read(tls));
      log.info({ expires: credentials.expires.toISOString() }, "TLS: new certificate");
    } catch (err) {
      log.warn({ err }, "TLS: a certificate changed and will not do; the last good one stays");
    }
  };
  const files = [tls.cert_file, tls.key_file, tls.client_ca_file]
    .filter((file) => file !== "")
    .map((file) => resolve(file));
  for (const file of files) watchFile(file, { interval: LOOK_MS, persistent: false }, renew);
  return () => {
    for (const file of files) unwatchFile(file, renew);
  };
}

function read(tls: Config["tls"]): Certificate {
  const pem = (name: "cert_file" | "key_file" | "client_ca_file"): Pem => {
    const path = resolve(tls[name]);
    return { path, bytes: readKeyFile(`tls.${name}`, path) };
  };
  return {
    cert: pem("cert_file"),
    key: pem("key_file"),
    ...(tls.client_ca_file !== "" && { clientCa: pem("client_ca_file") }),
  };
}

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { ServerCredentials } from "@grpc/grpc-js";
import { SandlotError } from "../errors.ts";

/** What the server shows who connects, as PEM, and where each part came from. */
export interface Certificate {
  /** The server's own first, then those between it and its authority. */
  readonly cert: Pem;
  readonly key: Pem;
  /** Authorities of which a client must show a certificate. Without it clients need none. */
  readonly clientCa?: Pem;
}

export interface Pem {
  readonly path: string;
  readonly bytes: Buffer;
}

/** TLS for a port. A certificate that is replaced is shown to who connects from then on; calls that are under way go on. */
export class TlsCredentials extends ServerCredentials {
  #expires: Date;

  /** Fault `invalid` names the setting whose file will not do. */
  constructor(certificate: Certificate) {
    const expires = checkCertificate(certificate);
    const requestCert = certificate.clientCa !== undefined;
    super({ requestCert, rejectUnauthorized: requestCert }, contextOf(certificate));
    this.#expires = expires;
  }

  get expires(): Date {
    return this.#expires;
  }

  /** Fault `invalid`, and the old one stays, when the new one will not do. */
  replace(certificate: Certificate): void {
    this.#expires = checkCertificate(certificate);
    this.updateSecureContextOptions(contextOf(certificate));
  }

  override _equals(other: ServerCredentials): boolean {
    return other === this;
  }
}

const contextOf = ({ cert, key, clientCa }: Certificate) => ({
  cert: cert.bytes,
  key: key.bytes,
  ...(clientCa && { ca: certificatesOf(clientCa.bytes) }),
});

/** Until when it is valid. */
function checkCertificate({ cert, key, clientCa }: Certificate): Date {
  const [own] = parsed("tls.cert_file", cert);
  const privateKey = keyOf(key);
  if (!own.checkPrivateKey(privateKey)) {
    wrong("tls.key_file", `the key of the certificate ${named(own)} in ${cert.path}`, `another key in ${key.path}`);
  }
  const now = Date.now();
  const from = own.validFromDate;
  const until = own.validToDate;
  if (until.getTime() <= now)
    wrong("tls.cert_file", "a certificate that is valid now", `${cert.path}, which ended at ${until.toISOString()}`);
  if (from.getTime() > now)
    wrong("tls.cert_file", "a certificate that is valid now", `${cert.path}, which begins at ${from.toISOString()}`);
  for (const authority of clientCa ? parsed("tls.client_ca_file", clientCa) : []) {
    if (!authority.ca) wrong("tls.client_ca_file", "certificates of authorities", `${named(authority)}, which is none`);
  }
  return until;
}

/** At least one. */
function parsed(field: string, { path, bytes }: Pem): [X509Certificate, ...X509Certificate[]] {
  try {
    const [first, ...rest] = certificatesOf(bytes).map((one) => new X509Certificate(one));
    if (first) return [first, ...rest];
  } catch (cause) {
    return wrong(field, "certificates in PEM", `${path} (${words(cause)})`);
  }
  return wrong(field, "certificates in PEM", path);
}

function certificatesOf(bytes: Buffer): string[] {
  return bytes.toString("latin1").match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? [];
}

function keyOf({ path, bytes }: Pem): KeyObject {
  try {
    return createPrivateKey(bytes);
  } catch (cause) {
    return wrong("tls.key_file", "a private key in PEM without a passphrase", `${path} (${words(cause)})`);
  }
}

const named = ({ subject }: X509Certificate): string => subject?.replaceAll("\n", ", ") || "without a name";
const words = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

function wrong(field: string, expected: string, got: string): never {
  throw new SandlotError("invalid", `${field}: expected ${expected}, got ${got}`, { field });
}

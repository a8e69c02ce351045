import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Pem } from "./certificate.ts";

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** Authorities, certificates and keys made by openssl in a folder of their own. */
export class Authorities {
  readonly folder = mkdtempSync(join(tmpdir(), "sandlot-certificates-"));

  authority(name: string): Pem {
    this.#openssl("req", "-x509", ...NEW_KEY, "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.pem`);
    return this.pem(`${name}.pem`);
  }

  /** For 127.0.0.1 and localhost. A number of days below 0: it has ended. */
  certificate(name: string, authority: string, days = 2): { readonly cert: Pem; readonly key: Pem } {
    writeFileSync(join(this.folder, "names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
    this.#openssl("req", ...NEW_KEY, "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`);
    const signed = ["-CA", `${authority}.pem`, "-CAkey", `${authority}.key`, "-CAcreateserial", "-extfile", "names"];
    this.#openssl("x509", "-req", "-in", `${name}.csr`, ...signed, "-days", `${days}`, "-out", `${name}.pem`);
    return { cert: this.pem(`${name}.pem`), key: this.pem(`${name}.key`) };
  }

  pem(file: string): Pem {
    const path = join(this.folder, file);
    return { path, bytes: readFileSync(path) };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  #openssl(...args: string[]): void {
    execFileSync("openssl", args, { cwd: this.folder, stdio: "pipe" });
  }
}

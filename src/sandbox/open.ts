import { isAbsolute } from "node:path";
import { SandlotError } from "../errors.ts";
import type { DockerOptions } from "./docker/open.ts";
import type { E2bOptions } from "./e2b/open.ts";
import { guardBackend } from "./guard.ts";
import type { OciOptions } from "./oci/open.ts";
import type { ProcessOptions } from "./process/backend.ts";
import type { Backend } from "./sandbox.ts";

export type OpenBackendOptions = OciOptions | ProcessOptions | DockerOptions | E2bOptions;

/** Opens a backend after trying it out. Fault `unsupported` says why it does not work on this host. The caller closes it. */
export async function openBackend(options: OpenBackendOptions): Promise<Backend> {
  if (!/^[0-9a-f]{8,12}$/.test(options.instance)) {
    throw new SandlotError("invalid", `instance: expected 8 to 12 hex digits, got ${JSON.stringify(options.instance)}`);
  }
  if (!isAbsolute(options.stateDir)) {
    throw new SandlotError("invalid", `stateDir: expected an absolute path, got ${JSON.stringify(options.stateDir)}`);
  }
  switch (options.type) {
    case "oci":
      return guardBackend(await (await import("./oci/open.ts")).openOci(options));
    case "docker":
      return guardBackend(await (await import("./docker/open.ts")).openDocker(options));
    case "e2b":
      return guardBackend(await (await import("./e2b/open.ts")).openE2b(options));
    case "process":
      return guardBackend(await (await import("./process/backend.ts")).openProcess(options));
  }
}

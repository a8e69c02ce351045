import { isAbsolute } from "node:path";
import { SandlotError } from "../errors.ts";
import { guardBackend } from "./guard.ts";
import type { Backend } from "./sandbox.ts";

export interface OpenBackendOptions {
  readonly type: "oci" | "process";
  /** An absolute folder, this server's alone: all that the backend keeps lies in it. */
  readonly stateDir: string;
  /** 8 to 12 hex digits that tell this server's sandboxes from another's on the same host; the same after a restart. */
  readonly instance: string;
  readonly runtime: "auto" | "crun" | "runc";
  readonly disk: "auto" | "loop" | "watched";
  /** The runner's program, a static binary. */
  readonly runnerPath: string;
  /** Folders of the host that no sandbox may see, as this install; the state folder is always among them. */
  readonly hide: readonly string[];
}

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
    case "process":
      return guardBackend(await (await import("./process/backend.ts")).openProcess(options));
  }
}

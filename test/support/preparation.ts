import { randomBytes } from "node:crypto";
import type { EnvironmentsOptions } from "../../src/environments/prepare.ts";
import { packageIndexVariables } from "../../src/environments/swebench/package-index.ts";
import type { Backend } from "../../src/sandbox/sandbox.ts";

export const HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Options as the command line makes them, over a backend; by default one that has no sandboxes, which recipes without set-up commands do not need. */
export function preparationOptions(
  stateDir: string,
  hostPath = HOST_PATH,
  backend = noSandboxes(),
): EnvironmentsOptions {
  return {
    backend,
    stateDir,
    repositories: [],
    interpreters: { versionFolders: [`${process.env["HOME"]}/.pyenv/versions`], named: [] },
    nodeBinary: process.execPath,
    hostPath,
    packageIndex: { variables: packageIndexVariables(process.env) },
    limits: { memoryMiB: 2048, cpuMilli: 2000, pids: 512, diskMiB: 4096 },
    stepTimeoutMs: 600_000,
    newId: () => `sandlot-test-${randomBytes(16).toString("hex")}`,
  };
}

function noSandboxes(): Backend {
  const refuse = (): never => {
    throw new Error("this backend has no sandboxes");
  };
  return {
    name: "none",
    capabilities: { isolation: true, snapshot: false, network: false, images: false },
    lacks: {},
    enforced: { memoryMiB: "NONE", cpuMilli: "NONE", pids: "NONE", diskMiB: "NONE" },
    create: refuse,
    reopen: refuse,
    list: async () => [],
    remove: async () => {},
    buildLayer: refuse,
    close: async () => {},
  };
}

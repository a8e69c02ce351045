import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { OpenBackendOptions } from "../src/sandbox/open.ts";

/** What a backend was opened with, as a server's configuration spells it. `folder` is for a file with a key. */
export function settingsOf(options: OpenBackendOptions, folder: string): object {
  switch (options.type) {
    case "oci":
      return { type: "oci", runtime: options.runtime, disk: options.disk };
    case "docker":
      return { type: "docker", socket: options.socket, runtime: options.runtime, pull: options.pull };
    case "process":
      return { type: "process", commands_run_unprotected_on_this_host: true };
    case "e2b": {
      const { apiKey, apiUrl, sandboxUrl, hostImage, maxSandboxes, createsPerSecond, templates, lifeS } = options;
      const key = join(folder, "key");
      writeFileSync(key, `${apiKey}\n`, { mode: 0o600 });
      return {
        ...{ type: "e2b", api_key_file: key, api_url: apiUrl, sandbox_url: sandboxUrl, host_image: hostImage },
        ...{ max_sandboxes: maxSandboxes, creates_per_s: createsPerSecond, life_s: lifeS },
        ...{ template_cpu: templates.cpu, template_memory_mib: templates.memoryMiB },
      };
    }
  }
}

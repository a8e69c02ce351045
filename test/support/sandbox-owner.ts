/** A server in miniature, to be killed: opens a backend, says so, makes a sandbox, starts a command in it, prints its id and waits for ever. */

import type { OpenBackendOptions } from "../../src/sandbox/open.ts";
import { openBackend } from "../../src/sandbox/open.ts";
import type { SandboxSpec } from "../../src/sandbox/sandbox.ts";

const { options, spec, script } = JSON.parse(process.argv[2] ?? "") as {
  options: OpenBackendOptions;
  spec: SandboxSpec;
  script: string;
};
const backend = await openBackend(options);
process.stdout.write("creating\n");
const sandbox = await backend.create(spec);
const seen = (): void => {
  process.stdout.write(`${sandbox.id}\n`);
};
await sandbox.exec(["bash", "-c", script], { callId: "long", timeoutMs: 60_000, onOutput: seen });
setInterval(() => undefined, 60_000);

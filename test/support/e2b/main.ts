import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import type { Fault } from "./faults.ts";
import { hostDisk } from "./host-disk.ts";
import { E2bServer } from "./server.ts";

/**
 * The test server as a program: `node main.ts [--max-sandboxes N] [--creates-per-second N] [--versions v1,v2] [--image NAME=FOLDER]...`. Prints `{"url", "apiKey"}` in a line; the image `host:latest` is this host's system folders, others are root file systems in folders.
 * Lines on stdin are answered by a line each: a fault (with `at` as the source of a regular expression) is set, `{"ask": "requests" | "sandboxes" | "builds"}` is told. It ends when
 * stdin does.
 */
const { values } = parseArgs({
  options: {
    "max-sandboxes": { type: "string", default: "100" },
    "creates-per-second": { type: "string", default: "100" },
    versions: { type: "string", default: "v1,v2" },
    image: { type: "string", multiple: true, default: [] },
  },
});
const folder = mkdtempSync(join(tmpdir(), "e2b-images-"));
const server = await E2bServer.start({
  images: new Map([["host:latest", await hostDisk(folder)], ...values.image.map(named)]),
  account: { maxSandboxes: Number(values["max-sandboxes"]), createsPerSecond: Number(values["creates-per-second"]) },
  versions: values.versions.split(",").filter((version) => version === "v1" || version === "v2"),
});
print({ url: server.url, apiKey: server.apiKey });

const asked: Readonly<Record<string, () => unknown>> = {
  requests: () => server.requests,
  sandboxes: () => server.sandboxes.ids,
  builds: () => server.templates.built,
};
for await (const line of createInterface({ input: process.stdin })) {
  const said = JSON.parse(line) as { ask?: string; at?: string } & Omit<Fault, "at">; // whoever started it writes it
  if (said.ask !== undefined) print(asked[said.ask]?.() ?? null);
  else {
    server.faults.push({ ...said, at: new RegExp(said.at ?? ".") });
    print({});
  }
}
await server[Symbol.asyncDispose]();
await rm(folder, { recursive: true, force: true });
process.exit(0);

function named(text: string): [string, { readonly lower: string }] {
  const at = text.indexOf("=");
  return [text.slice(0, at), { lower: text.slice(at + 1) }];
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

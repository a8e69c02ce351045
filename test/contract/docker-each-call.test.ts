import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { SandlotError } from "../../src/errors.ts";
import { type EngineWaits, WAITS } from "../../src/sandbox/docker/waits.ts";
import type { Backend, Sandbox } from "../../src/sandbox/sandbox.ts";
import { bash, newPlace, specIn } from "../support/backends.ts";
import type { Fault } from "../support/e2b/faults.ts";
import { startDockerd, startPodman, type TestEngine } from "../support/engine.ts";
import { askEngine } from "../support/engine-api.ts";
import { startProxy } from "../support/faulty-proxy.ts";
import { leaveOut } from "../support/required.ts";

/** Every request that the backend makes in the life below. */
const CALLS = {
  "what it is": /^GET \/info$/,
  "its version": /^GET \/version$/,
  "a look at an image": /^GET \/images\/.+\/json$/,
  "a list of images": /^GET \/images\/json$/,
  "an import": /^POST \/images\/create$/,
  "a name": /^POST \/images\/.+\/tag$/,
  "a create": /^POST \/containers\/create$/,
  "a start": /^POST \/containers\/.+\/start$/,
  "an attachment": /^POST \/containers\/.+\/attach$/,
  "a look": /^GET \/containers\/[^/]+\/json$/,
  "a list": /^GET \/containers\/json$/,
  "a pause": /^POST \/containers\/.+\/pause$/,
  "a going on": /^POST \/containers\/.+\/unpause$/,
  "a look at a path": /^HEAD \/containers\/.+\/archive$/,
  "files there": /^PUT \/containers\/.+\/archive$/,
  "files back": /^GET \/containers\/.+\/archive$/,
  "all files": /^GET \/containers\/.+\/export$/,
  "a list of changes": /^GET \/containers\/.+\/changes$/,
  "an image of it": /^POST \/commit$/,
  "its end": /^DELETE \/containers\//,
  "an image's end": /^DELETE \/images\//,
} as const;

const PAGE = "<html><body>It works!</body></html>";
const told = (status: number): NonNullable<Fault["answer"]> => ({ status, body: { message: "a fault" } });

const KINDS: Readonly<Record<string, Omit<Fault, "at" | "times">>> = {
  "is refused with 500": { answer: told(500) },
  "is refused with 404": { answer: told(404) },
  "is refused with 409": { answer: told(409) },
  "is cut off": { cut: "before" },
  "is done, and its answer lost": { cut: "after" },
  "gets no answer": { silent: true },
  "gets a page for an answer": { answer: { status: 200, text: PAGE } },
};

/** Long enough for what is done, short enough for a test. */
const SHORT: EngineWaits = { ...WAITS, readMs: 4_000, verbMs: 8_000, filesMs: 8_000, silenceMs: 4_000, busyMs: 20_000 };

const ENGINES = { docker: () => startDockerd({ liveRestore: false }), podman: startPodman };
/** Each takes up to minutes on a busy machine: SANDLOT_FAULTS=all plays the others too. */
const ALL = process.env["SANDLOT_FAULTS"] === "all";
const KINDS_OF = {
  docker: ALL ? Object.keys(KINDS) : ["gets a page for an answer"],
  podman: ALL ? ["is refused with 500", "gets no answer"] : [],
} as const;
if (!ALL)
  process.stderr.write("one kind of fault at each call of docker: SANDLOT_FAULTS=all plays all, and Podman's\n");

for (const [name, start] of Object.entries(ENGINES)) {
  if (KINDS_OF[name as keyof typeof KINDS_OF].length === 0) continue;
  const started = await start().catch((error: Error) => error.message);
  if (typeof started === "string") leaveOut(`faults of ${name} at each call`, name, started);
  describe.skipIf(typeof started === "string")(`when each call of ${name} once`, () => {
    const engine = started as TestEngine; // skipped otherwise
    afterAll(() => engine[Symbol.asyncDispose]());
    const kinds = KINDS_OF[name as keyof typeof KINDS_OF].map((kind) => [kind, KINDS[kind] ?? {}] as const);
    test.each(kinds)("%s, nothing is wrong, endless or left", { timeout: 300_000 }, async (_kind, fault) => {
      const socket = `${engine.socket}.${Math.random().toString(36).slice(2)}`;
      await using proxy = await startProxy({ path: socket }, { socketPath: engine.socket });
      const own = { type: "docker", socket, runtime: "", host_image: "", pull: "never", waits: SHORT } as const;
      await using place = newPlace({ name, options: own });
      await withoutImages(engine);
      for (const at of Object.values(CALLS)) proxy.faults.push({ at, times: 1, ...fault });
      await life(place);
      expect(proxy.faults.filter(({ times }) => times > 0).map(({ at }) => String(at))).toEqual([]);
      expect([await containersOf(engine, place.instance), readdirSync(join(place.stateDir, "sandboxes"))]).toEqual([
        [],
        [],
      ]);
    });
  });
}

type Place = ReturnType<typeof newPlace>;

/** A server's whole life with one sandbox, in which every call is made; who is told of the engine's fault tries again, as a client does. */
async function life(place: Place): Promise<void> {
  const first = await again("open", () => place.open());
  const sandbox = await again("create", () => first.create(specIn(place)));
  expect((await again("run", () => bash(sandbox, "echo once >> file; seq 1 20000; cat file"))).stdout).toMatch(
    /\n20000\nfrom the layer\nonce\n$/,
  );
  await again("look", async () => expect(await sandbox.alive()).toBe(true));
  await again("measure", () => sandbox.usage());
  await seen(place, first, sandbox);
  await first.close();
  const second = await again("open", () => place.open());
  const reopened = await again("find", () => second.reopen(sandbox.id));
  // Podman's end with their server.
  const found = reopened ?? (await again("create", () => second.create(specIn(place))));
  expect(reopened === undefined).toBe(second.lacks.survivesServer !== undefined);
  if (reopened === undefined) await again("run", () => bash(found, "echo once >> file"));
  expect((await again("run", () => bash(found, "cat file"))).stdout).toBe("from the layer\nonce\n");
  await builtLayer(place, second);
  rmSync(place.layer, { recursive: true });
  await again("end", () => found.dispose());
  await again("sweep", async () => second.sweep?.());
  for (const id of await again("list", () => second.list())) await again("remove", () => second.remove(id));
  await again("sweep", async () => second.sweep?.());
  await second.close();
}

async function seen(place: Place, backend: Backend, sandbox: Sandbox): Promise<void> {
  await again("view", async () => {
    const still = await sandbox.freeze();
    try {
      for (const within of ["/work", undefined]) {
        const views = [{ of: sandbox.id, at: "/seen", ...(within !== undefined && { within }) }];
        const other = await backend.create(specIn(place, { layers: [], workdir: "/", views }));
        expect((await bash(other, "cat /seen/work/file")).stdout).toBe("from the layer\nonce\n");
        await other.dispose();
      }
    } finally {
      await again("go on", async () => still[Symbol.asyncDispose]());
    }
  });
}

async function builtLayer(place: Place, backend: Backend): Promise<void> {
  const target = join(place.stateDir, "built");
  await again("build", () =>
    backend.buildLayer(specIn(place), target, async (sandbox) => {
      expect((await bash(sandbox, "echo built > /work/made && rm /work/folder/other")).exitCode).toBe(0);
    }),
  );
  expect(readFileSync(join(target, "work/made"), "utf8")).toBe("built\n");
  const above = specIn(place, { layers: [place.layer, target] });
  const sandbox = await again("create", () => backend.create(above));
  expect((await bash(sandbox, "cat made; ls folder")).stdout).toBe("built\n");
  await again("end", () => sandbox.dispose());
}

/** Until it is done: each fault is met once. */
async function again<T>(what: string, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof SandlotError) || !["sandbox", "unsupported"].includes(error.fault) || attempt > 15) {
        throw new Error(`${what}, attempt ${attempt}`, { cause: error });
      }
    }
  }
}

/** So that they are made again. */
async function withoutImages({ socket }: TestEngine): Promise<void> {
  const images = await askEngine(socket, "GET", "/images/json");
  for (const { Id } of images as readonly { readonly Id: string }[]) // as the API has it
    await askEngine(socket, "DELETE", `/images/${Id}?force=true`);
}

async function containersOf(engine: TestEngine, instance: string): Promise<readonly string[]> {
  const filters = encodeURIComponent(JSON.stringify({ label: [`sandlot.instance=${instance}`] }));
  const found = await askEngine(engine.socket, "GET", `/containers/json?all=true&filters=${filters}`);
  return (found as readonly { readonly Names: readonly string[] }[]).flatMap(({ Names }) => Names); // as the API has it
}

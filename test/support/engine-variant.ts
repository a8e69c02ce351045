import { readdirSync } from "node:fs";
import { join } from "node:path";
import { WAITS } from "../../src/sandbox/docker/waits.ts";
import { newPlace } from "./backends.ts";
import type { TestEngine } from "./engine.ts";
import { askEngine } from "./engine-api.ts";
import type { Place, Variant } from "./variants.ts";

export interface EngineChoice {
  readonly backend: "docker" | "podman";
  readonly start: () => Promise<TestEngine>;
  readonly runtime?: string;
  readonly only?: NonNullable<Variant["only"]>;
}

/** Containers of an engine that is started for the tests alone. */
export function engineVariant(name: string, { backend, start, runtime = "", only }: EngineChoice): Variant {
  const ground = async (): Promise<Awaited<ReturnType<Variant["ground"]>>> => {
    const engine = await start();
    const { socket } = engine;
    const own = { type: "docker", socket, runtime, host_image: "", pull: "never", waits: WAITS } as const;
    return {
      place: () => placeOf(engine, newPlace({ name, options: own })),
      [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
    };
  };
  return { backend, name, ...(only && { only }), ground };
}

function placeOf(engine: TestEngine, own: ReturnType<typeof newPlace>): Place {
  return {
    ...own,
    leftovers: async () => [
      ...(await containersOf(engine, own.instance)).map((name) => `container ${name}`),
      ...readdirSync(join(own.stateDir, "sandboxes")).map((id) => `folder sandboxes/${id}`),
    ],
    endFromOutside: async (id) => {
      await askEngine(engine.socket, "POST", `/containers/${id}/kill?signal=KILL`);
      await askEngine(engine.socket, "POST", `/containers/${id}/wait`);
    },
    daemon: { stop: () => engine.kill(), start: () => engine.start() },
  };
}

async function containersOf(engine: TestEngine, instance: string): Promise<readonly string[]> {
  const filters = encodeURIComponent(JSON.stringify({ label: [`sandlot.instance=${instance}`] }));
  const found = await askEngine(engine.socket, "GET", `/containers/json?all=true&filters=${filters}`);
  return (found as readonly { readonly Names: readonly string[] }[]).flatMap(({ Names }) => Names); // as the API has it
}

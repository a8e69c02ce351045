import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Bind } from "../sandbox/sandbox.ts";
import { build, type Watch } from "./builder.ts";
import {
  type Built,
  baseEnv,
  checkoutLayer,
  interpreterLayer,
  type Means,
  type Site,
  type SiteWithClone,
  sealIn,
} from "./layers.ts";
import type { Recipe } from "./recipe.ts";
import { openSource } from "./repository.ts";
import { BASE_PATH } from "./requirements.ts";
import { makeSwebench } from "./swebench/make.ts";
import { pipAccess } from "./swebench/package-index.ts";

/** Makes all layers of a recipe's environment. */
export async function makeEnvironment(means: Means, recipe: Recipe, site: Site, watch: Watch): Promise<Built> {
  const clone = await openClone(means, site, watch);
  try {
    if (recipe.setup.type === "swebench") return await makeSwebench(means, recipe, { ...site, clone }, watch);
    return await makeByCommands(means, recipe, { ...site, clone }, watch);
  } finally {
    await rm(join(site.folder, SCRATCH), { recursive: true, force: true });
  }
}

const SCRATCH = "scratch.git";

async function openClone(means: Means, site: Site, watch: Watch): Promise<string> {
  return openSource(means.source, join(site.folder, SCRATCH), means.git, watch.signal);
}

async function makeByCommands(means: Means, recipe: Recipe, site: SiteWithClone, watch: Watch): Promise<Built> {
  const { setup } = recipe;
  if (setup.type !== "commands") throw new Error(`set-up ${setup.type} is not made by commands`);
  const toolLayers: string[] = [];
  for (const { interpreter, pathFolder } of site.toolchains) {
    if (interpreter && pathFolder) {
      toolLayers.push(await interpreterLayer(means, { interpreter, at: join(pathFolder, "..") }, site, watch));
    }
  }
  const layers = [...toolLayers, await checkoutLayer(means, recipe, site, watch)];
  const binds = site.toolchains.flatMap((one): readonly Bind[] => (one.bind ? [one.bind] : []));
  const folders = site.toolchains.flatMap((one) => (one.pathFolder === undefined ? [] : [one.pathFolder]));
  const env = { ...baseEnv([...folders, BASE_PATH].join(":")), ...recipe.env };
  if (setup.commands.length === 0) return { layers, binds, env, seal: recipe.baseCommit };

  const target = join(site.folder, "set-up");
  const network = setup.network ? "host" : "none";
  const pip =
    setup.network && means.pip !== undefined ? await pipAccess(means.pip, means.packageIndex, watch.signal) : undefined;
  const spec = { rootfs: recipe.rootfs, layers, workdir: recipe.workdir, network, target } as const;
  const access = { binds: [...binds, ...(pip?.binds ?? [])], env: { ...env, ...pip?.env } };
  let sealed = recipe.baseCommit;
  await build(means.workshop, { ...spec, ...access }, watch, async (builder) => {
    for (const [index, command] of setup.commands.entries()) {
      watch.report({ stage: "setup", message: command.slice(0, 200), fraction: index / setup.commands.length });
      await builder.run("setup", command);
    }
    sealed = await sealIn(builder, recipe.baseCommit, watch);
  });
  return { layers: [...layers, target], binds, env, seal: sealed };
}

import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Bind } from "../sandbox/sandbox.ts";
import { build, type Watch } from "./builder.ts";
import { makeInImage } from "./image-repository.ts";
import {
  type Built,
  baseEnv,
  checkoutLayer,
  interpreterLayer,
  type Means,
  runSetup,
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
  if (recipe.repository.type === "none")
    return { layers: [], binds: [], env: baseEnv(recipe), baseCommit: "", seal: "" };
  if (means.source === undefined) return makeInImage(means, recipe, site, watch);
  const clone = await openSource(means.source, join(site.folder, SCRATCH), means.git, watch.signal);
  try {
    if (recipe.setup.type === "swebench") return await makeSwebench(means, recipe, { ...site, clone }, watch);
    return await makeByCommands(means, recipe, { ...site, clone }, watch);
  } finally {
    await rm(join(site.folder, SCRATCH), { recursive: true, force: true });
  }
}

const SCRATCH = "scratch.git";

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
  const env = baseEnv(recipe, [...folders, BASE_PATH].join(":"));
  const { baseCommit } = recipe;
  if (setup.commands.length === 0) return { layers, binds, env, baseCommit, seal: baseCommit };

  const target = join(site.folder, "set-up");
  const network = setup.network ? "host" : "none";
  const pip =
    setup.network && means.pip !== undefined ? await pipAccess(means.pip, means.packageIndex, watch.signal) : undefined;
  const spec = { rootfs: recipe.rootfs, layers, workdir: recipe.workdir, network, target } as const;
  const access = { binds: [...binds, ...(pip?.binds ?? [])], env: { ...env, ...pip?.env } };
  let sealed = baseCommit;
  await build(means.workshop, { ...spec, ...access }, watch, async (builder) => {
    await runSetup(builder, setup.commands, watch);
    sealed = await sealIn(builder, { baseCommit, foreign: false }, watch);
  });
  return { layers: [...layers, target], binds, env, baseCommit, seal: sealed };
}

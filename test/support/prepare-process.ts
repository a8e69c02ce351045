import { parseArgs } from "node:util";
import { Environments } from "../../src/environments/prepare.ts";
import { EnvironmentRecipe } from "../../src/tasks/task.ts";
import { preparationOptions } from "./preparation.ts";

/** A process that prepares one environment and prints a JSON line per progress event, then the environment. */
const { values } = parseArgs({
  options: { state: { type: "string" }, recipe: { type: "string" }, path: { type: "string" } },
});
const environments = new Environments(preparationOptions(values.state ?? "", values.path));
const recipe = EnvironmentRecipe.parse(JSON.parse(values.recipe ?? "null"));
const environment = await environments.prepare(recipe, {
  onProgress: (progress) => console.log(JSON.stringify({ stage: progress.stage })),
});
console.log(JSON.stringify({ environment }));

import { SandlotError } from "../errors.ts";
import { parseArguments } from "./arguments.ts";
import { bash } from "./bash.ts";
import { executeBash } from "./r2e/execute-bash.ts";
import { fileEditor } from "./r2e/file-editor.ts";
import { finish } from "./r2e/finish.ts";
import { search } from "./r2e/search.ts";
import { refusal } from "./refusal.ts";
import { strReplaceEditor } from "./str-replace-editor.ts";
import { submitSolution } from "./submit-solution.ts";
import { sweApplyPatch } from "./swe/apply-patch.ts";
import { sweClone } from "./swe/clone.ts";
import { sweInstall } from "./swe/install.ts";
import { swePytest } from "./swe/pytest.ts";
import type { Tool, ToolCall, ToolResult, ToolSchema } from "./tool.ts";

/** Every tool there is; a new one is a file and a line here. */
const TOOLS: ReadonlyMap<string, Tool> = new Map(
  [
    ...[bash, strReplaceEditor, submitSolution],
    ...[executeBash, fileEditor, search, finish],
    ...[sweClone, sweInstall, sweApplyPatch, swePytest],
  ].map((tool) => [tool.schema.function.name, tool]),
);

/** In the order of the names; fault `invalid` for one that there is not. */
export function schemasOf(names: readonly string[]): readonly ToolSchema[] {
  return names.map((name) => {
    const tool = TOOLS.get(name);
    if (tool) return tool.schema;
    const message = `expected tools among ${[...TOOLS.keys()].join(", ")}, got ${JSON.stringify(name.slice(0, 100))}`;
    throw new SandlotError("invalid", message, { field: "tools" });
  });
}

/** Whether a call of this name, from a policy that is offered these tools, ends the trajectory. */
export function isSubmit(offered: readonly string[], name: string): boolean {
  return offered.includes(name) && TOOLS.get(name)?.submit === true;
}

/** Runs one call of a policy that is offered these tools; its mistakes are results of kind TOOL_ERROR. */
export async function callTool(
  offered: readonly string[],
  name: string,
  argumentsJson: string,
  call: ToolCall,
): Promise<ToolResult> {
  const tool = offered.includes(name) ? TOOLS.get(name) : undefined;
  if (!tool)
    return refusal(
      `There is no tool ${JSON.stringify(name.slice(0, 100))}. The tools are: ${offered.join(", ")}.`,
      call,
    );
  const parsed = parseArguments(tool, argumentsJson);
  if (!parsed.ok) return refusal(`The arguments of ${name} cannot be used: ${parsed.problem}.`, call);
  return tool.run(parsed.args, call);
}

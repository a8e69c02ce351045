import { type Format, problem } from "./format.ts";

const FENCE = /^```(?:bash|mswea_bash_command)[ \t]*\r?$/;
const SUBMIT = /^\s*echo\s+['"]?COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT\b/;

/**
 * One block of ```bash (or ```mswea_bash_command), run in a fresh shell each time; the command that mini-swe-agent's prompts give for the end, `echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT`, submits. None, or
 * more than one, is a mistake.
 */
export const miniSweAgent: Format = {
  name: "mini-swe-agent",
  read(text) {
    const commands = fenced(text);
    const [command] = commands;
    if (command === undefined || commands.length > 1)
      return problem(
        `expected exactly one block that begins with \`\`\`bash and holds the command, got ${commands.length}`,
      );
    const call = SUBMIT.test(command)
      ? { name: "submit_solution", argumentsJson: "{}" }
      : { name: "bash", argumentsJson: JSON.stringify({ command, stateless: true }) };
    return { type: "calls", calls: [{ id: "call_0", ...call }] };
  },
};

/** Blocks up to a line that begins with three backticks; one that does not end counts too. */
function fenced(text: string): readonly string[] {
  const found: string[] = [];
  let open: string[] | undefined;
  for (const line of text.split("\n")) {
    if (open === undefined) {
      if (FENCE.test(line)) open = [];
    } else if (line.startsWith("```")) {
      found.push(open.join("\n"));
      open = undefined;
    } else open.push(line);
  }
  return open === undefined ? found : [...found, open.join("\n")];
}

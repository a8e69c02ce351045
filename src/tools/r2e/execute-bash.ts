import { bash } from "../bash.ts";
import type { Tool } from "../tool.ts";

/** R2E-Gym's `execute_bash`: `bash` in a fresh shell, under that name and with `cmd`. */
export const executeBash: Tool = {
  schema: {
    type: "function",
    function: {
      name: "execute_bash",
      description:
        "Runs a bash command in the repository, each time in a fresh shell, and returns its output, standard output and errors together. There is no terminal and no input.",
      parameters: {
        type: "object",
        properties: { cmd: { type: "string", description: "The command; several lines are fine." } },
        required: ["cmd"],
      },
    },
  },
  run: ({ cmd }, call) => bash.run({ command: cmd, stateless: true }, call),
};

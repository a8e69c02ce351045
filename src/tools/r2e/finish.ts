import { submitSolution } from "../submit-solution.ts";
import type { Tool } from "../tool.ts";

/** R2E-Gym's `finish`: `submit_solution` under that name. */
export const finish: Tool = {
  submit: true,
  schema: {
    type: "function",
    function: {
      name: "finish",
      description: submitSolution.schema.function.description,
      parameters: {
        type: "object",
        properties: {
          command: { type: "string", description: "Always `submit`.", enum: ["submit"] },
          result: { type: "string", description: "What was done, in words; kept in the record and not judged." },
        },
        required: [],
      },
    },
  },
  run: submitSolution.run,
};

import { answer } from "./refusal.ts";
import type { Tool } from "./tool.ts";

/** Ends the task. The trajectory carries it out; arguments, if any, change nothing. */
export const submitSolution: Tool = {
  submit: true,
  schema: {
    type: "function",
    function: {
      name: "submit_solution",
      description:
        "Hands in the repository as it is now and ends the task. Call it once, when the work is done; nothing can be changed after it.",
      parameters: { type: "object", properties: {}, required: [] },
    },
  },
  async run(_args, call) {
    return answer("Submitted.", call);
  },
};

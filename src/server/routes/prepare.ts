import { identifiers, invalid } from "../decode.ts";
import { encodePrepare } from "../encode.ts";
import { type RouteContext, type Routes, waiting } from "./route.ts";

export function prepareRoutes({ rollouts }: RouteContext): Routes<"prepare"> {
  return {
    async *prepare({ taskIds }, call) {
      if (taskIds.length === 0) throw invalid("task_ids", "at least one task", "none");
      for await (const progress of rollouts.prepare(identifiers(taskIds, "task_ids"), waiting(call)))
        yield encodePrepare(progress);
    },
  };
}

import type { RolloutService } from "../../gen/sandlot/v1/rollout_service_pb.ts";
import type { Handlers } from "../adapter.ts";
import { createRoutes } from "./create.ts";
import { executeRoutes } from "./execute.ts";
import { gradeRoutes } from "./grade.ts";
import { infoRoutes } from "./info.ts";
import { prepareRoutes } from "./prepare.ts";
import { releaseRoutes } from "./release.ts";
import type { RouteContext } from "./route.ts";
import { stepRoutes } from "./step.ts";
import { taskRoutes } from "./tasks.ts";
import { trajectoryRoutes } from "./trajectories.ts";

/** Every rpc of the service; the type says that none is missing. */
export function allRoutes(context: RouteContext): Handlers<typeof RolloutService> {
  return {
    ...infoRoutes(context),
    ...taskRoutes(context),
    ...prepareRoutes(context),
    ...createRoutes(context),
    ...executeRoutes(context),
    ...stepRoutes(context),
    ...gradeRoutes(context),
    ...releaseRoutes(context),
    ...trajectoryRoutes(context),
  };
}

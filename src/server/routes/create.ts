import { refuseWithout } from "../authorize.ts";
import { decodeCreate } from "../decode.ts";
import { encodeTrajectory } from "../encode.ts";
import { type RouteContext, type Routes, waiting } from "./route.ts";

export function createRoutes({ rollouts }: RouteContext): Routes<"create"> {
  return {
    async create(request, call) {
      const asked = decodeCreate(request);
      if (asked.bare) refuseWithout(call.scopes, "sandbox");
      return encodeTrajectory(await rollouts.create(asked, waiting(call)), call.scopes);
    },
  };
}

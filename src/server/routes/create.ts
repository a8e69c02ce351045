import { decodeCreate } from "../decode.ts";
import { encodeTrajectory } from "../encode.ts";
import { type RouteContext, type Routes, waiting } from "./route.ts";

export function createRoutes({ rollouts }: RouteContext): Routes<"create"> {
  return {
    create: async (request, call) =>
      encodeTrajectory(await rollouts.create(decodeCreate(request), waiting(call)), call.scopes),
  };
}

import { decodeStep } from "../decode.ts";
import { encodeTurn } from "../encode.ts";
import { type RouteContext, type Routes, waiting } from "./route.ts";

export function stepRoutes({ rollouts }: RouteContext): Routes<"step"> {
  return {
    step: async (request, call) => encodeTurn(await rollouts.step(decodeStep(request), waiting(call)), call.scopes),
  };
}

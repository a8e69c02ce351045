import type { Scopes } from "../authorize.ts";
import { trajectoryId } from "../decode.ts";
import { encodeTrajectory } from "../encode.ts";
import type { RouteContext, Routes } from "./route.ts";

const PAGE = 100;
const MAX_PAGE = 1_000;

export function trajectoryRoutes({
  rollouts,
}: RouteContext): Routes<"getTrajectory" | "listTrajectories" | "getRecord"> {
  return {
    async getTrajectory(request, { scopes }) {
      return encodeTrajectory(await rollouts.get(trajectoryId(request.trajectoryId)), scopes);
    },
    async listTrajectories({ filter, pageSize, pageToken }, { scopes }) {
      const size = Math.min(pageSize || PAGE, MAX_PAGE);
      const { trajectories, nextPageToken } = await rollouts.list({ filter, pageSize: size, pageToken });
      const brief = trajectories.map((each) => encodeTrajectory({ ...each, messages: [], tools: [] }, scopes));
      return { trajectories: brief, nextPageToken };
    },
    async *getRecord(request, { scopes }) {
      let index = 0n;
      for await (const line of rollouts.record(trajectoryId(request.trajectoryId))) {
        yield { index, json: JSON.stringify(line, hider(scopes)) };
        index += 1n;
      }
    },
  };
}

/** Leaves out what stands under a key named `hidden`, at any depth, unless the token has the scope for it. */
function hider(scopes: Scopes) {
  return (key: string, value: unknown) => (key === "hidden" && !scopes.has("hidden") ? undefined : value);
}

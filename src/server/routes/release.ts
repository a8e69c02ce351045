import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { State } from "../../gen/sandlot/v1/trajectory_pb.ts";
import { decodeRelease, identifiers, isTrajectoryId } from "../decode.ts";
import { encodeTrajectory } from "../encode.ts";
import type { RouteContext, Routes } from "./route.ts";

export function releaseRoutes({ rollouts }: RouteContext): Routes<"release" | "heartbeat"> {
  return {
    async release(request, { scopes }) {
      const asked = decodeRelease(request);
      const [trajectoryIds, strange] = apart(asked.trajectoryIds);
      const { ended, unknown, cancelledCreates } = await rollouts.release({ ...asked, trajectoryIds });
      return {
        trajectories: ended.map((summary) => encodeTrajectory({ ...summary, messages: [], tools: [] }, scopes)),
        unknown: [...unknown, ...strange],
        cancelledCreates,
      };
    },
    async heartbeat({ trajectoryIds, leaseMs }) {
      const [ids, strange] = apart(identifiers(trajectoryIds, "trajectory_ids"));
      const { alive, gone } = await rollouts.heartbeat(ids, leaseMs);
      return {
        alive: alive.map(({ id, leaseUntil, state }) => ({
          trajectoryId: id,
          leaseUntil: timestampFromDate(leaseUntil),
          state: State[state],
        })),
        gone: [...gone, ...strange],
      };
    },
  };
}

/** Ids of the form that this server gives out, and the rest, which nobody knows. */
function apart(ids: readonly string[]): [known: readonly string[], strange: readonly string[]] {
  return [ids.filter(isTrajectoryId), ids.filter((id) => !isTrajectoryId(id))];
}

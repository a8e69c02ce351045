import type { RolloutService } from "../../gen/sandlot/v1/rollout_service_pb.ts";
import type { Rollouts } from "../../trajectory/rollouts.ts";
import type { Call, Handlers } from "../adapter.ts";

/** What every route is made with. */
export interface RouteContext {
  readonly rollouts: Rollouts;
  readonly version: string;
  readonly startedAt: Date;
}

type All = Handlers<typeof RolloutService>;

/** The handlers that one file of routes gives. */
export type Routes<Method extends keyof All> = Pick<All, Method>;

export function waiting({ signal, deadline }: Call): { signal: AbortSignal; deadline: number } {
  return { signal, deadline };
}

import { Metadata } from "@grpc/grpc-js";
import type { Call } from "./adapter.ts";

/** A call for tests of handlers that look at little of it. */
export function someCall(facts: Partial<Call> = {}): Call {
  return {
    requestId: "request-1",
    path: "/sandlot.v1.RolloutService/Execute",
    peer: "127.0.0.1:1",
    metadata: new Metadata(),
    request: {},
    signal: new AbortController().signal,
    deadline: Number.POSITIVE_INFINITY,
    startedAt: performance.now(),
    scopes: new Set(["rollout"]),
    ...facts,
  };
}

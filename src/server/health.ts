import { once, setMaxListeners } from "node:events";
import { status } from "@grpc/grpc-js";
import { type Health, HealthCheckResponse_ServingStatus as Serving } from "../gen/grpc/health/v1/health_pb.ts";
import type { Handlers } from "./adapter.ts";
import { WireError } from "./status.ts";

/** Whether the server serves, and who wants to know when that changes. */
export class Readiness extends EventTarget {
  #serving = false;

  constructor() {
    super();
    setMaxListeners(0, this);
  }

  get serving(): boolean {
    return this.#serving;
  }

  set(serving: boolean): void {
    if (serving === this.#serving) return;
    this.#serving = serving;
    this.dispatchEvent(new Event("change"));
  }
}

/** grpc.health.v1: "" and each named service share one answer; another name is unknown. */
export function health(readiness: Readiness, services: readonly string[]): Handlers<typeof Health> {
  const names = new Set(["", ...services]);
  const answer = () => ({ status: readiness.serving ? Serving.SERVING : Serving.NOT_SERVING });
  return {
    check: async ({ service }) => {
      if (names.has(service)) return answer();
      throw new WireError(status.NOT_FOUND, `no service ${service}`);
    },
    list: async () => ({ statuses: Object.fromEntries([...names].map((name) => [name, answer()])) }),
    async *watch({ service }, { signal }) {
      while (!signal.aborted) {
        // Subscribed before the answer leaves: a change while the client reads is not missed.
        const changed = once(readiness, "change", { signal }).catch(() => undefined);
        yield names.has(service) ? answer() : { status: Serving.SERVICE_UNKNOWN };
        await changed;
      }
    },
  };
}

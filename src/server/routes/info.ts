import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { FORMAT_NAMES } from "../../tools/formats/table.ts";
import { wireName } from "../../trajectory/wire-name.ts";
import { encodeEnforced, encodeLimits, encodePool } from "../encode.ts";
import type { RouteContext, Routes } from "./route.ts";

export function infoRoutes({ rollouts, version, startedAt }: RouteContext): Routes<"getServerInfo"> {
  return {
    async getServerInfo() {
      const info = rollouts.info();
      const { instance, backend, isolated, draining, leaseMs } = info;
      return {
        ...{ version, instance, backend, isolated, draining, leaseMs },
        defaultLimits: encodeLimits(info.defaultLimits, info.enforced),
        pools: Object.fromEntries(Object.entries(info.pools).map(([name, use]) => [name, encodePool(use)])),
        grading: encodePool(info.grading),
        startedAt: timestampFromDate(startedAt),
        tasks: rollouts.tasks().length,
        formats: [...FORMAT_NAMES],
        sandboxService: info.harness,
        backends: info.backends.map(({ enforced, lacks, ...same }) => ({
          ...same,
          enforced: encodeEnforced(enforced),
          lacks: Object.fromEntries(Object.entries(lacks).map(([ability, why]) => [wireName(ability), why])),
        })),
      };
    },
  };
}

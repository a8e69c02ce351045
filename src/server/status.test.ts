import type { ServiceError } from "@grpc/grpc-js";
import { Metadata, status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { type Fault, SandlotError } from "../errors.ts";
import { ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import { TrajectoryEndedSchema } from "../gen/sandlot/v1/trajectory_pb.ts";
import type { Summary } from "../trajectory/rollouts.ts";
import { someCall } from "./call.fixture.ts";
import { statusDetails, toStatus } from "./status.ts";

test.each<[Fault, status]>([
  ["invalid", status.INVALID_ARGUMENT],
  ["not_found", status.NOT_FOUND],
  ["ended", status.FAILED_PRECONDITION],
  ["out_of_order", status.FAILED_PRECONDITION],
  ["unsupported", status.UNIMPLEMENTED],
  ["busy", status.RESOURCE_EXHAUSTED],
  ["draining", status.UNAVAILABLE],
  ["sandbox", status.ABORTED],
  ["task", status.ABORTED],
  ["unauthenticated", status.UNAUTHENTICATED],
  ["forbidden", status.PERMISSION_DENIED],
])("the fault %s travels as status %i with the fault as its reason", async (fault, code) => {
  const error = await answered(new SandlotError(fault, "words", { field: "f", knob: "k", trajectoryId: "t" }));
  expect(error).toMatchObject({ code, details: "words" });
  expect(statusDetails(error, ErrorInfoSchema)).toMatchObject([
    { reason: fault, domain: "sandlot", metadata: { field: "f", knob: "k", trajectory_id: "t" } },
  ]);
});

test("busy always says when to come back, so that it is not taken for a message that is too large", async () => {
  const told = await answered(new SandlotError("busy", "full", { retryAfterMs: 2_500 }));
  expect(statusDetails(told, RetryInfoSchema)).toMatchObject([{ retryDelay: { seconds: 2n, nanos: 500_000_000 } }]);
  expect(statusDetails(await answered(new SandlotError("busy", "full")), RetryInfoSchema)).toHaveLength(1);
});

test("an error of an ended trajectory carries its summary, without what is long", async () => {
  const error = await answered(new SandlotError("ended", "over", { trajectoryId: "t" }));
  expect(statusDetails(error, TrajectoryEndedSchema)).toMatchObject([
    { trajectory: { id: "t", state: 6, ending: 3, messages: [], labels: { run: "7" } } },
  ]);
});

test("no error is larger than the trailers that clients accept", async () => {
  const labels = Object.fromEntries(Array.from({ length: 32 }, (_, index) => [`${index}`, "x".repeat(256)]));
  const facts = { trajectoryId: "t".repeat(5_000), field: "f".repeat(5_000), knob: "\u{1F600}".repeat(5_000) };
  const long = new SandlotError("ended", `\ud800${"ü".repeat(100_000)}`, facts);
  const error = await answered(long, { ...SUMMARY, labels });
  const packed = error.metadata.get("grpc-status-details-bin")[0];
  const bytes = Math.ceil(((packed?.length ?? 0) * 4) / 3) + encodeURI(error.details).length;
  expect(bytes).toBeLessThan(7_500);
  expect(statusDetails(error, TrajectoryEndedSchema)).toMatchObject([{ trajectory: { id: "t", labels: {} } }]);
});

test("what is no SandlotError leaves as a fixed text", async () => {
  const error = await answered(new TypeError("secret"));
  expect(error).toMatchObject({ code: status.INTERNAL, details: "internal error" });
  expect(JSON.stringify(error.metadata.getMap())).not.toContain("secret");
});

test("the end of the call itself is no bug", async () => {
  const aborted = new AbortController();
  aborted.abort();
  const cancelled = await toStatus(aborted.signal.reason, someCall({ signal: aborted.signal }), summaryOf());
  expect(cancelled.code).toBe(status.CANCELLED);
  const late = someCall({ signal: aborted.signal, deadline: performance.now() - 1 });
  expect((await toStatus(aborted.signal.reason, late, summaryOf())).code).toBe(status.DEADLINE_EXCEEDED);
});

const SUMMARY: Summary = {
  id: "t",
  taskId: "task",
  attemptId: "a",
  pool: "default",
  labels: { run: "7" },
  state: "ENDED",
  ending: "LEASE",
  messages: [{ role: "user", content: "long" }],
  tools: [],
  limits: {
    ...{ maxSteps: 1, maxTurns: 1, wallMs: 1, commandMs: 1, noOutputMs: 0, outputBytes: 1 },
    ...{ memoryMiB: 1, cpuMilli: 1, pids: 1, diskMiB: 1, gradeMs: 1 },
  },
  enforced: { memoryMiB: "HARD", cpuMilli: "HARD", pids: "HARD", diskMiB: "WATCHED" },
  lastStep: 0,
  harnessCalls: 0,
  bare: false,
  createdAt: new Date(0),
  timings: { queuedMs: 0, prepareMs: 0, sandboxMs: 0.4, commandMs: 0, gradeMs: 0, serverMs: 1.6 },
  environmentKey: "",
  recordUri: "",
  workdir: "/testbed",
  left: { steps: 0, turns: 0, wallMs: -3 },
};

const summaryOf =
  (summary: Summary = SUMMARY) =>
  async () =>
    summary;

async function answered(error: unknown, summary?: Summary): Promise<ServiceError> {
  const { code, details, metadata } = await toStatus(error, someCall(), summaryOf(summary));
  return Object.assign(new Error(), { code: code ?? 0, details: details ?? "", metadata: metadata ?? new Metadata() });
}

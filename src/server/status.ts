import { create, createRegistry, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Any, anyPack, anyUnpack, durationFromMs } from "@bufbuild/protobuf/wkt";
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { type Fault, SandlotError } from "../errors.ts";
import { ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import { TrajectoryEndedSchema } from "../gen/sandlot/v1/trajectory_pb.ts";
import type { Summary } from "../trajectory/rollouts.ts";
import type { Incoming, Status } from "./adapter.ts";
import type { Scopes } from "./authorize.ts";
import { encodeTrajectory } from "./encode.ts";

/** The one table from fault to status code. The fault word is the stable surface, the code is not. */
export const STATUS_OF: Readonly<Record<Fault, status>> = {
  invalid: status.INVALID_ARGUMENT,
  not_found: status.NOT_FOUND,
  ended: status.FAILED_PRECONDITION,
  out_of_order: status.FAILED_PRECONDITION,
  unsupported: status.UNIMPLEMENTED,
  busy: status.RESOURCE_EXHAUSTED,
  draining: status.UNAVAILABLE,
  sandbox: status.ABORTED,
  task: status.ABORTED,
  unauthenticated: status.UNAUTHENTICATED,
  forbidden: status.PERMISSION_DENIED,
};

/** A status without a fault, for the standard services only. */
export class WireError extends Error {
  override readonly name = "WireError";
  readonly code: status;

  constructor(code: status, message: string) {
    super(message);
    this.code = code;
  }
}

const DETAILS = "grpc-status-details-bin";
const DOMAIN = "sandlot";
/** Clients refuse trailers over 8 KiB: text travels twice (percent-encoded and in the details), details in base64. */
const MAX_MESSAGE_BYTES = 800;
const MAX_SUMMARY_BYTES = 2_500;
const MAX_FACT_BYTES = 200;
const NOTHING_HIDDEN: Scopes = new Set();

/** Finds what an error of an ended trajectory tells of it. */
export type EndedSummary = (trajectoryId: string) => Promise<Summary>;

/** A status for whatever was thrown; never rejects. What is neither a SandlotError nor the end of the call leaves as a fixed text. */
export async function toStatus(error: unknown, call: Incoming, summaryOf: EndedSummary): Promise<Status> {
  const metadata = new Metadata();
  metadata.set("x-request-id", call.requestId);
  if (error instanceof WireError) return { code: error.code, details: error.message, metadata };
  if (!(error instanceof SandlotError)) return { ...unexpected(error, call), metadata };
  const code = STATUS_OF[error.fault];
  const message = clipped(error.message, MAX_MESSAGE_BYTES);
  const details = [errorInfo(error), ...retryInfo(error), ...(await ended(error, summaryOf).catch(() => []))];
  const packed = toBinary(StatusSchema, create(StatusSchema, { code, message, details }));
  metadata.set(DETAILS, Buffer.from(packed));
  return { code, details: message, metadata };
}

/** The details of an error, decoded with the given message types; unknown types are left out. */
export function statusDetails(error: ServiceError, ...types: DescMessage[]): { $typeName: string }[] {
  const [bytes] = error.metadata.get(DETAILS);
  if (!(bytes instanceof Uint8Array)) return [];
  const registry = createRegistry(...types);
  return fromBinary(StatusSchema, bytes).details.flatMap((any) => anyUnpack(any, registry) ?? []);
}

function unexpected(error: unknown, call: Incoming): { code: status; details: string } {
  if (!call.signal.aborted || !tellsOfTheEnd(error)) return { code: status.INTERNAL, details: "internal error" };
  const late = performance.now() >= call.deadline;
  return late
    ? { code: status.DEADLINE_EXCEEDED, details: "the deadline has passed" }
    : { code: status.CANCELLED, details: "cancelled" };
}

/** What waits and streams throw when the call is over. */
function tellsOfTheEnd(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === "AbortError" || ("code" in error && error.code === "ERR_STREAM_PREMATURE_CLOSE");
}

function errorInfo({ fault, facts }: SandlotError): Any {
  const { field, knob, trajectoryId } = facts;
  const known = Object.entries({ field, knob, trajectory_id: trajectoryId });
  const metadata = Object.fromEntries(
    known.flatMap(([name, value]) => (value === undefined ? [] : [[name, clipped(value, MAX_FACT_BYTES)]])),
  );
  return anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason: fault, domain: DOMAIN, metadata }));
}

/** Present with every `busy`: without it that status is gRPC's own "message too large". */
function retryInfo({ fault, facts }: SandlotError): Any[] {
  const waitMs = facts.retryAfterMs ?? (fault === "busy" ? 1_000 : undefined);
  if (waitMs === undefined) return [];
  const retryDelay = durationFromMs(Math.max(1, Math.round(waitMs)));
  return [anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay }))];
}

async function ended({ fault, facts }: SandlotError, summaryOf: EndedSummary): Promise<Any[]> {
  if (fault !== "ended" || facts.trajectoryId === undefined) return [];
  return [packEnded(await summaryOf(facts.trajectoryId))];
}

/** Without all that can be long: prompt, tools, patch, test names, and, where it must be, labels. */
function packEnded(summary: Summary): Any {
  const { grade } = summary;
  const slim: Summary = {
    ...summary,
    messages: [],
    tools: [],
    ...(grade && { grade: { ...grade, reason: clipped(grade.reason, 300), patchBase64: "", leftOut: [] } }),
  };
  const whole = create(TrajectoryEndedSchema, { trajectory: encodeTrajectory(slim, NOTHING_HIDDEN) });
  if (toBinary(TrajectoryEndedSchema, whole).length <= MAX_SUMMARY_BYTES) return anyPack(TrajectoryEndedSchema, whole);
  const least = encodeTrajectory({ ...slim, labels: {}, recordUri: "" }, NOTHING_HIDDEN);
  return anyPack(TrajectoryEndedSchema, create(TrajectoryEndedSchema, { trajectory: least }));
}

/** At most so many bytes in the percent-encoding of grpc-message, whole characters only. */
function clipped(text: string, maxBytes: number): string {
  let bytes = 0;
  let kept = "";
  for (const character of text.toWellFormed()) {
    bytes += encodeURI(character).length;
    if (bytes > maxBytes) return `${kept}...`;
    kept += character;
  }
  return kept;
}

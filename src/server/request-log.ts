import { status } from "@grpc/grpc-js";
import type { Logger } from "pino";
import { SandlotError } from "../errors.ts";
import type { Frame, Incoming } from "./adapter.ts";

/** Calls that begin or end something: logged at `info` also when all went well. */
const EVENTS = new Set(["Create", "Grade", "Release", "Prepare", "Interrupt"]);
/** Ids that a reader of the log may search for. Arguments, patches and texts never get there. */
const IDS = ["trajectoryId", "attemptId", "callId", "taskId"];

/** One line per call: what it was, for whom, how it ended and how long it took. A bug brings its cause, which the client does not see. */
export function requestLog(log: Logger): Frame["finished"] {
  return (call, code, error) => {
    const method = call.path.slice(call.path.lastIndexOf("/") + 1);
    const facts = {
      request: call.requestId,
      method,
      code: status[code],
      ms: Math.round((performance.now() - call.startedAt) * 10) / 10,
      peer: call.peer,
      ...idsOf(call),
    };
    if (code === status.INTERNAL) log.error({ ...facts, err: error }, "a bug");
    else if (error instanceof SandlotError) failed(log, facts, error);
    else if (error === undefined && EVENTS.has(method)) log.info(facts, "call");
    else log.debug(facts, "call");
  };
}

function failed(log: Logger, facts: object, error: SandlotError): void {
  const { fault, message, cause } = error;
  const whole = { ...facts, fault, reason: message.slice(0, 500), ...(cause === undefined ? {} : { err: cause }) };
  if (fault === "sandbox" || fault === "task") log.warn(whole, "call failed");
  else log.info(whole, "call refused");
}

function idsOf({ request }: Incoming): Record<string, string> {
  if (typeof request !== "object" || request === null) return {};
  const known = IDS.map((name): [string, unknown] => [name, Reflect.get(request, name)]);
  return Object.fromEntries(
    known.flatMap(([name, value]) => (typeof value === "string" && value !== "" ? [[name, value.slice(0, 200)]] : [])),
  );
}

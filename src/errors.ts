/** Whose fault a failed call is; the word is the stable surface on the wire (google.rpc.ErrorInfo.reason). */
export type Fault =
  | "invalid"
  | "not_found"
  | "ended"
  | "out_of_order"
  | "unsupported"
  | "busy"
  | "draining"
  | "sandbox"
  | "task"
  | "unauthenticated"
  | "forbidden";

export interface ErrorFacts {
  /** The request field at fault, as the proto or the config spells it. */
  readonly field?: string;
  /** The setting that would change the outcome. */
  readonly knob?: string;
  /** With `busy`: when trying again is worth while. */
  readonly retryAfterMs?: number;
  /** With `ended` the server adds this trajectory's summary to the details. */
  readonly trajectoryId?: string;
  readonly cause?: unknown;
}

/**
 * The one error that crosses module boundaries. `message` says what was expected, what was got and the knob. Any other
 * throw is a bug and leaves the server as a fixed text.
 */
export class SandlotError extends Error {
  override readonly name = "SandlotError";
  readonly fault: Fault;
  readonly facts: ErrorFacts;

  constructor(fault: Fault, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.fault = fault;
    this.facts = facts;
  }
}

export function isFault(error: unknown, fault: Fault): error is SandlotError {
  return error instanceof SandlotError && error.fault === fault;
}

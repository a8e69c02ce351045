import type { Duplex } from "node:stream";

/**
 * The runner is not there any more: its socket refuses or has vanished, or another runner answers in its place. Commands that were under way have no result.
 * The backend decides what that means.
 */
export class RunnerGone extends Error {
  override readonly name = "RunnerGone";
}

/** Bytes both ways. Where it can be unreferenced, as a socket, an idle one does not keep this process alive. */
export type Stream = Duplex & { ref?(): unknown; unref?(): unknown };

/** A way to the runner and back. */
export interface Line {
  /** Carries frames, from the next byte on. */
  readonly stream: Stream;
  /** Stands before every frame that is sent. */
  readonly tag: Uint8Array;
}

/** Makes a new line, when a client begins and when its line broke. Rejects with `RunnerGone` when there is no runner any more; any other reason is that of the calls that wait. */
export type Dial = () => Promise<Line>;

/** Longest waits for an engine, in milliseconds. */
export interface EngineWaits {
  /** To look at something, and to be attached to a container. */
  readonly readMs: number;
  /** To do something. */
  readonly verbMs: number;
  /** To do something with all files of an image, a layer or a sandbox. */
  readonly filesMs: number;
  /** Between two lines of what it tells of a pull or an import. */
  readonly silenceMs: number;
  /** While it removes a container already, or is still at work on it. */
  readonly busyMs: number;
  /** While it is away, as in a restart. */
  readonly awayMs: number;
}

/** For engines that are hard pressed. */
export const WAITS: EngineWaits = {
  ...{ readMs: 30_000, verbMs: 120_000, filesMs: 1_800_000 },
  ...{ silenceMs: 300_000, busyMs: 300_000, awayMs: 60_000 },
};

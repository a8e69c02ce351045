/** How long the service and its daemons are waited for, in milliseconds. */
export interface Waits {
  /** One request to the control plane. */
  readonly askMs: number;
  /** A create, or a connect: a sandbox may have to be brought up. */
  readonly createMs: number;
  /** How long a service that has no room, or fails, is asked for a sandbox again and again. */
  readonly patienceMs: number;
  readonly snapshotMs: number;
  /** A template's whole build. */
  readonly buildMs: number;
  /** Between two questions about a build. */
  readonly pollMs: number;
  /** A file, without a byte going either way. */
  readonly fileMs: number;
  /** A call of the daemon that answers once. */
  readonly callMs: number;
  /** A script of ours in a machine, all its tries together: as long as the largest layer takes to be unpacked. */
  readonly scriptMs: number;
  /** A process's line without a byte; the daemon is asked for a sign of life three times in that time. */
  readonly lineMs: number;
  /** How long a daemon that cannot be reached is tried again. */
  readonly attachMs: number;
  /** Between two tries to end a machine that could not be ended. */
  readonly strayMs: number;
  /** Before the second try of what failed; twice as long before each further one. */
  readonly pauseMs: number;
}

export const WAITS: Waits = {
  askMs: 30_000,
  createMs: 120_000,
  patienceMs: 600_000,
  snapshotMs: 300_000,
  buildMs: 1_800_000,
  pollMs: 1_000,
  fileMs: 120_000,
  callMs: 30_000,
  scriptMs: 900_000,
  lineMs: 60_000,
  attachMs: 60_000,
  strayMs: 60_000,
  pauseMs: 400,
};

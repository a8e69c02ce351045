/** What every backend is opened with; each adds what is its own. */
export interface CommonOptions {
  /** An absolute folder, this server's alone: all that the backend keeps lies in it. */
  readonly stateDir: string;
  /** 8 to 12 hex digits that tell this server's sandboxes from another's on the same host; the same after a restart. */
  readonly instance: string;
  /** The runner's program, a static binary. */
  readonly runnerPath: string;
  /** Folders of the host that no sandbox may see, as this install; the state folder is always among them. */
  readonly hide: readonly string[];
}

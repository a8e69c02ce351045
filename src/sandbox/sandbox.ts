/** The contract every backend keeps. Nothing here names a vendor, a task, a trajectory or a host path of the policy. */
import type { Lacks } from "./abilities.ts";

/** How a limit is kept on this host: by the kernel, by looking now and then, or not at all. */
export type Enforcement = "HARD" | "WATCHED" | "NONE";

export interface Limits {
  readonly memoryMiB: number;
  /** Thousandths of a core. */
  readonly cpuMilli: number;
  readonly pids: number;
  readonly diskMiB: number;
}

export type Enforced = Readonly<Record<keyof Limits, Enforcement>>;

/** What lies at the bottom: an allow-list of this host's own system folders, an unpacked root file system, or a container image that `Images.resolve` made available. */
export type Rootfs =
  | { readonly type: "host" }
  | { readonly type: "directory"; readonly path: string }
  | { readonly type: "image"; readonly ref: string; readonly digest: string };

/** A host folder or file that appears read-only at `target` inside. */
export interface Bind {
  readonly source: string;
  readonly target: string;
}

/**
 * A view, at `at`, of all that another (frozen) sandbox of the same backend holds: its whole root. Private and writable where the backend isolates; without
 * isolation it is the other's own folder, which whoever looks must copy before it changes anything.
 */
export interface View {
  readonly of: string;
  readonly at: string;
  /** The absolute folder below which it will be looked at: a backend that must copy a view may leave out the rest. Absent: all of it. */
  readonly within?: string;
}

export interface SandboxSpec {
  /** `sandlot-<instance>-<32 hex digits>`: also the folder, the cgroup and the runtime's id. */
  readonly id: string;
  /** Which of several backends makes it, by its name in the configuration; absent: the default one. */
  readonly backend?: string;
  readonly rootfs: Rootfs;
  /** Read-only layers above the root file system, lowest first: absolute host folders. The writable layer is the sandbox's own. */
  readonly layers: readonly string[];
  readonly binds: readonly Bind[];
  readonly views: readonly View[];
  /** The absolute folder inside in which commands start; it exists in a layer. */
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  /** Whom commands run as, as an image spells it: `NAME`, `UID`, `NAME:GROUP` or `UID:GID`, looked up in the root file system. Absent or empty: root. */
  readonly user?: string;
  readonly limits: Limits;
  /** `host` only while an environment is being prepared. */
  readonly network: "none" | "host";
}

export interface OutputChunk {
  /** Bytes of output, both streams counted together, that came before this chunk. */
  readonly offset: number;
  readonly stream: "stdout" | "stderr";
  readonly data: Uint8Array;
}

export interface ExecOptions {
  /**
   * Idempotency key within the sandbox, `[A-Za-z0-9._-]{1,64}`: the same id again attaches to the running command, or returns the kept result, also after
   * this server was killed and started again. Results are kept until `acknowledge`.
   */
  readonly callId: string;
  /** An absolute path inside; the default is the sandbox's workdir. A folder that is gone falls back to the root of the sandbox's files, never to the host's, with a note on stderr. */
  readonly cwd?: string;
  /** The whole environment of the command; the default is the sandbox's. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: Uint8Array;
  readonly timeoutMs: number;
  /** Ends the command when it printed nothing for so long; 0 = off. */
  readonly noOutputTimeoutMs?: number;
  /** Output kept (half head, half tail); default 1 MiB. */
  readonly keepBytes?: number;
  /** Output beyond `keepBytes` is spilled whole, up to so many bytes, into a file inside the sandbox; 0 = no spill (default). */
  readonly spillBytes?: number;
  /** Gives the command a writable descriptor 9; what lies there when it ends comes back as `state` (at most 256 KiB). */
  readonly captureState?: boolean;
  /**
   * The same argv, folder and environment will come again, with another `stdin` that ends at its first NUL byte or its end: a backend may start the next one ahead of time, so that it waits for its
   * standard input. Whether it did shows in nothing but the time it takes. `ahead`: it will come for the first time; now nothing runs, or the command does with no standard input, and the exit code
   * means nothing.
   */
  readonly repeats?: true | "ahead";
  /** Called in order with live output (and, after an attach, with what is still kept of the earlier output). */
  readonly onOutput?: (chunk: OutputChunk) => void;
  /** Ends the waiting only; the command goes on. To end the command call `interrupt`. */
  readonly signal?: AbortSignal;
}

export interface ExecResult {
  /** Exactly one of the two is set. */
  readonly exitCode?: number;
  readonly signal?: number;
  /** The kept output in order of arrival; a hole shows as a jump of the offset. */
  readonly output: readonly OutputChunk[];
  /** All that was printed, kept or not. */
  readonly outputBytes: number;
  /** Something between head and tail was dropped. */
  readonly truncated: boolean;
  readonly spillPath?: string;
  readonly timedOut: false | "command" | "no_output";
  readonly interrupted: boolean;
  /** Out-of-memory kills inside the sandbox's own limit during this command. */
  readonly oomKills: number;
  /** Those that the host did for lack of its own memory, where it is known that there were any. */
  readonly hostOomKills?: number;
  readonly durationMs: number;
  readonly state?: Uint8Array;
  /**
   * The command could not be started, or could not be watched to its end, by the doing of processes inside (no free process id, the supervisor killed): words for the
   * policy. exitCode is then 126 or the signal is set.
   */
  readonly note?: string;
}

export interface FileContent {
  /** `other` = FIFO, device, socket: never read. `missing` has no data. For a directory `data` is its entries, one a line, folders with a trailing slash. */
  readonly type: "file" | "directory" | "other" | "missing" | "denied";
  readonly sizeBytes: number;
  readonly data: Uint8Array;
}

/** At most `maxBytes` (64 MiB where it does not say) from `offset` on, in bytes. */
export interface ReadRange {
  readonly offset?: number;
  readonly maxBytes?: number;
}

export interface FileOptions {
  readonly callId: string;
  readonly signal?: AbortSignal;
}

/** Of a machine that somebody lends, by the prices of the configuration. */
export interface Cost {
  readonly seconds: number;
  readonly usd: number;
}

/**
 * A sandbox that is ready. What the processes inside do to it is a result, never an error: errors are fault `sandbox` (the cause lies outside the sandbox's own cgroup, mounts and quota)
 * or a fault of the caller.
 */
export interface Sandbox {
  readonly id: string;
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly limits: Limits;
  readonly enforced: Enforced;
  /** Where a path of the environment lies for commands of this sandbox (same path, but on a backend without its own root). */
  locate(path: string): string;
  /** `argv[0]` is looked up on the command's PATH. */
  exec(argv: readonly string[], options: ExecOptions): Promise<ExecResult>;
  /** Ends a running command and its whole process tree; its exec then resolves with `interrupted`. Unknown ids are ignored. */
  interrupt(callId: string): Promise<void>;
  /** Never follows into the host, never blocks on what is not a file. Of a file what lies before `offset` is left out. */
  readFile(path: string, options: FileOptions & ReadRange): Promise<FileContent>;
  /** Creates or replaces a regular file (missing parent folders are made). A path that cannot be written is answered with words, not thrown. */
  writeFile(
    path: string,
    data: Uint8Array,
    options: FileOptions & { readonly mode?: number },
  ): Promise<{ readonly failure?: string }>;
  /** Lets go of kept results: the given call id, and those that begin with it and a dot. They are forgotten before the next call begins, or a second later. */
  acknowledge(callId: string): void;
  /** Stops every process inside until the returned thing is disposed; needed while a View of it exists. */
  freeze(): Promise<AsyncDisposable>;
  /** False when the sandbox is gone (PID 1 dead), by whatever cause. */
  alive(): Promise<boolean>;
  /** What its keeper asks for it until now. Absent where that is nobody. */
  cost?(): Cost | undefined;
  /** Bytes on disk and in memory now, as far as they are known. */
  usage(): Promise<{ readonly diskBytes: number; readonly memoryBytes: number }>;
  /** Done when processes, mounts and bytes are gone. Idempotent; safe while busy; not cut short by anything. */
  dispose(): Promise<void>;
}

export interface Capabilities {
  readonly isolation: boolean;
  readonly snapshot: boolean;
  readonly network: boolean;
  /** Root file systems that are container images: true where the backend has `images`. */
  readonly images: boolean;
}

/** A container image that can be the root file system of sandboxes, and what it says of those who run in it. */
export interface Image {
  /** `sha256:` and 64 hex digits: decides the content. */
  readonly digest: string;
  readonly env: Readonly<Record<string, string>>;
  /** Empty where it has none. */
  readonly workdir: string;
  /** As `SandboxSpec.user`; empty where it has none. */
  readonly user: string;
}

export interface ImageWatch {
  readonly signal: AbortSignal;
  /** What is being fetched, unpacked or built; `fraction` from 0 to 1 where it is known. */
  readonly report: (progress: { readonly message: string; readonly fraction?: number }) => void;
}

export interface Images {
  /**
   * Finds an image by its name and makes it available, so that a sandbox whose `rootfs` has this name and the digest can be created at once. Fault `task`: there is no such image, or it is broken; fault
   * `sandbox`: who keeps it, or what fetches it, failed; fault `unsupported`: nothing here can fetch it, and what to install.
   */
  resolve(ref: string, watch: ImageWatch): Promise<Image>;
  /** Why an image cannot be had here, as far as that is known without fetching it. Absent where nothing is known before. */
  lack?(ref: string): Promise<string | undefined>;
  /** Absent where somebody else keeps them. */
  readonly kept?: KeptImages;
}

/** Images that take room on the backend's volume. */
export interface KeptImages {
  sizeBytes(): Promise<number>;
  /** Removes images, least recently used first, until so many bytes are free; none whose digest is in `keep` or that was used since `usedBeforeMs` (as Date.now() counts). What was freed. */
  collect(options: {
    readonly keep: ReadonlySet<string>;
    readonly usedBeforeMs: number;
    readonly bytes: number;
  }): Promise<number>;
}

/** Where sandboxes come from. One per server, behind which there may be several (`SeveralBackends`). */
export interface Backend {
  readonly name: string;
  /** Those behind it beside the default one, by their names in the configuration. */
  readonly named?: ReadonlyMap<string, Backend>;
  readonly capabilities: Capabilities;
  /** What of the contract it cannot do on this host, each with its reason; known once the backend is open. Asked for it refuses (fault `unsupported`), has no such method, or says NONE of a limit. */
  readonly lacks: Lacks;
  /** How each limit is kept on this host; known once the backend is open. */
  readonly enforced: Enforced;
  /** Absent where a root file system cannot be an image. */
  readonly images?: Images;
  /** A failed or cancelled create leaves nothing. */
  create(spec: SandboxSpec, signal?: AbortSignal): Promise<Sandbox>;
  /** Adds a view to a sandbox that runs, at a path that it does not have. Absent where that cannot be done: a sandbox then has its views from the beginning. */
  attach?(id: string, view: View): Promise<void>;
  /** Takes hold of a sandbox that an earlier server made; undefined when it is dead (what is left of it stays for `remove`). */
  reopen(id: string): Promise<Sandbox | undefined>;
  /** Ids of all that this instance owns on this host, dead or alive. */
  list(): Promise<readonly string[]>;
  /** Removes what is left of a sandbox, alive or not. Idempotent. */
  remove(id: string): Promise<void>;
  /**
   * Runs `work` in a sandbox and keeps what it wrote as a new read-only layer at `target` (an absolute host folder that does not exist, on the backend's volume), made by rename. On a
   * failure nothing is left.
   */
  buildLayer(spec: SandboxSpec, target: string, work: (sandbox: Sandbox) => Promise<void>): Promise<void>;
  /** Removes what it keeps, beside sandboxes, for layers that are gone. Absent where it keeps nothing. */
  sweep?(): Promise<void>;
  /** Ends helpers (launcher and so on); sandboxes stay. */
  close(): Promise<void>;
}

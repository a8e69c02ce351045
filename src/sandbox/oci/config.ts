import type { Cgroups } from "../cgroup.ts";
import type { Bind, SandboxSpec } from "../sandbox.ts";
import { seccompProfile } from "./seccomp.ts";
import type { User } from "./user.ts";

export interface BundleOptions {
  readonly spec: SandboxSpec;
  readonly user: User;
  /** Where the root file system is mounted in the throw-away mount namespace. */
  readonly root: string;
  readonly cgroupsPath: string;
  readonly cgroups: Cgroups | undefined;
  /** Read-only folders of the host beside the spec's own. */
  readonly binds: readonly Bind[];
  /** Writable folders that are mounted already: the views. */
  readonly views: readonly Bind[];
  /** Paths inside that show as empty. */
  readonly masked: readonly string[];
  readonly openFilesMax: number;
  /** Where no control group counts them: of the one user that the sandbox's own user namespace has. */
  readonly processesMax?: number;
}

/** The `config.json` of the runtime's bundle. Descriptor 3 is the control directory, 4 the runner's program. */
export function bundleConfig(options: BundleOptions): object {
  const { spec } = options;
  const namespaces = ["pid", "mount", "ipc", "uts", ...(spec.network === "none" ? ["network"] : [])];
  if (options.cgroups?.version === 2) namespaces.push("cgroup");
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: options.user,
      args: ["/proc/self/fd/4"],
      env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
      cwd: "/",
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
      noNewPrivileges: true,
      rlimits: [
        { type: "RLIMIT_NOFILE", hard: options.openFilesMax, soft: Math.min(options.openFilesMax, 65_536) },
        { type: "RLIMIT_CORE", hard: 0, soft: 0 },
        ...(options.processesMax === undefined
          ? []
          : [{ type: "RLIMIT_NPROC", hard: options.processesMax, soft: options.processesMax }]),
      ],
    },
    root: { path: options.root, readonly: false },
    hostname: "sandbox",
    mounts: mounts(options),
    linux: {
      namespaces: namespaces.map((type) => ({ type })),
      cgroupsPath: options.cgroupsPath,
      resources: resources(spec, options.cgroups),
      seccomp: seccompProfile(),
      maskedPaths: [...MASKED, ...options.masked],
      readonlyPaths: READ_ONLY,
    },
  };
}

const CAPABILITIES = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_NET_BIND_SERVICE",
];
const MASKED = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/config.gz",
  "/proc/interrupts",
  "/proc/kallsyms",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/modules",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  // Where package managers keep a host's own settings and tokens, below a folder that is shown.
  ...["/usr/etc", "/usr/local/etc"].flatMap((folder) => [
    `${folder}/npmrc`,
    `${folder}/pip.conf`,
    `${folder}/gitconfig`,
  ]),
];
const READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

function mounts({ spec, binds, views }: BundleOptions): object[] {
  const shmMiB = Math.max(1, Math.min(64, Math.floor(spec.limits.memoryMiB / 4)));
  const safe = ["nosuid", "noexec", "nodev"];
  return [
    { destination: "/proc", type: "proc", source: "proc", options: safe },
    { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=64k"] },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
    },
    { destination: "/dev/shm", type: "tmpfs", source: "shm", options: [...safe, "mode=1777", `size=${shmMiB}m`] },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: safe },
    ...[...binds, ...spec.binds].map((bind) => ({
      destination: bind.target,
      type: "bind",
      source: bind.source,
      options: ["bind", "ro", "nosuid", "nodev"],
    })),
    ...views.map((view) => ({
      destination: view.target,
      type: "bind",
      source: view.source,
      options: ["bind", "rw", "nosuid", "nodev"],
    })),
  ];
}

function resources({ limits }: SandboxSpec, cgroups: Cgroups | undefined): object {
  const can = (controller: string): boolean => cgroups?.controllers.has(controller) === true;
  const memory = limits.memoryMiB * 1_048_576;
  return {
    ...(can("memory") && { memory: { limit: memory, ...(cgroups?.swap === true && { swap: memory }) } }),
    ...(can("pids") && { pids: { limit: limits.pids } }),
    ...(can("cpu") && { cpu: { quota: Math.max(1000, limits.cpuMilli * 100), period: 100_000 } }),
  };
}

import type { ContainerCreateOptions, MountSettings } from "dockerode";
import type { Bind, SandboxSpec } from "../sandbox.ts";

/** What labels tell of who made a container or an image. */
export const LABEL = { instance: "sandlot.instance", layers: "sandlot.layers", image: "sandlot.image" } as const;

/** Where the runner is bound, or put: the devices are a file system of their own, so that nothing of it shows among the files. */
export const BOUND_RUNNER = "/dev/sandlot-init";
export const COPIED_RUNNER = "/.sandlot-init";

export interface ContainerParts {
  readonly spec: SandboxSpec;
  readonly instance: string;
  readonly image: string;
  /** Of this host; undefined where the engine is elsewhere and the runner is copied. */
  readonly runnerPath: string | undefined;
  /** Read-only folders of the host beside the spec's own. */
  readonly binds: readonly Bind[];
  /** Paths inside that show as empty. */
  readonly masked: readonly string[];
  readonly runtime: string;
  /** Whether the engine keeps a limit on disk. */
  readonly diskQuota: boolean;
  readonly cpus: boolean;
  readonly ulimits: readonly Ulimit[];
}

export interface Ulimit {
  readonly Name: string;
  readonly Soft: number;
  readonly Hard: number;
}

/** A container whose first process is the runner, on a byte stream. */
export function containerOptions(parts: ContainerParts): ContainerCreateOptions & { name: string } {
  const { spec, instance, image, runnerPath } = parts;
  const own = runnerPath === undefined ? [] : [{ source: runnerPath, target: BOUND_RUNNER }];
  const memory = spec.limits.memoryMiB * 1_048_576;
  return {
    name: spec.id,
    Image: image,
    Entrypoint: [runnerPath === undefined ? COPIED_RUNNER : BOUND_RUNNER],
    Cmd: ["stream"],
    User: spec.user ?? "",
    WorkingDir: "/",
    Hostname: "sandbox",
    Labels: { [LABEL.instance]: instance },
    Healthcheck: { Test: ["NONE"] },
    ...{ OpenStdin: true, StdinOnce: false, AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: false },
    ...{ StopSignal: "SIGKILL", StopTimeout: 0 },
    HostConfig: {
      Mounts: [...own, ...parts.binds, ...spec.binds].map(mountOf),
      NetworkMode: spec.network,
      ...{ Memory: memory, MemorySwap: memory, PidsLimit: spec.limits.pids },
      ...(parts.cpus && { CpuPeriod: 100_000, CpuQuota: Math.max(1_000, spec.limits.cpuMilli * 100) }),
      ...{ CapDrop: ["ALL"], CapAdd: [...CAPABILITIES], SecurityOpt: ["no-new-privileges"], Privileged: false },
      ...{ IpcMode: "private", UTSMode: "", Init: false },
      Ulimits: [{ Name: "core", Soft: 0, Hard: 0 }, ...parts.ulimits],
      ShmSize: Math.max(1, Math.min(64, Math.floor(spec.limits.memoryMiB / 4))) * 1_048_576,
      LogConfig: { Type: "none", Config: {} },
      RestartPolicy: { Name: "no" },
      MaskedPaths: [...MASKED, ...parts.masked],
      ReadonlyPaths: READ_ONLY,
      ...(parts.runtime !== "" && { Runtime: parts.runtime }),
      ...(parts.diskQuota && { StorageOpt: { size: `${spec.limits.diskMiB}m` } }),
    },
  };
}

function mountOf({ source, target }: Bind): MountSettings {
  return { Type: "bind", Source: source, Target: target, ReadOnly: true, BindOptions: { Propagation: "rprivate" } };
}

/** Those of the design: as in the other backends. */
const CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "NET_BIND_SERVICE"];
const MASKED = [
  ...["acpi", "asound", "config.gz", "interrupts", "kallsyms", "kcore", "keys", "latency_stats", "modules"].map(inProc),
  ...["sched_debug", "scsi", "timer_list", "timer_stats"].map(inProc),
  "/sys/firmware",
];
const READ_ONLY = ["bus", "fs", "irq", "sys", "sysrq-trigger"].map(inProc);

function inProc(name: string): string {
  return `/proc/${name}`;
}

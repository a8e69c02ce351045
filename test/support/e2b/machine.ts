import { type ChildProcess, execFile, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { Cell } from "./cell.ts";

/** The files that machines begin with. */
export interface Disk {
  /** A folder that machines share and cannot change. */
  readonly lower: string;
  /** What is changed of it from the beginning: a folder of such a kind as overlays write. */
  readonly changes?: string;
  /** In place of that: an image of a disk that was a machine's. */
  readonly image?: string;
}

export interface MachineOptions {
  /** Where its own files lie; made here. */
  readonly folder: string;
  readonly disk: Disk;
  readonly name: string;
  readonly network: boolean;
  readonly memoryMiB: number;
}

export interface RunOptions {
  readonly user: { readonly uid: number; readonly gid: number };
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: "pipe" | "ignore";
}

/**
 * What stands for a virtual machine: a root of its own (an overlay on a disk of its own; /home is a plain folder of that disk), its own process, network, IPC and host name spaces, a limit on memory, and
 * a root user who may mount. It isolates files and processes, not an attacker.
 */
export class Machine {
  readonly folder: string;
  readonly #outer: ChildProcess;
  readonly #init: number;
  readonly #cell: Cell;
  readonly #network: boolean;
  readonly #ended: Promise<unknown>;

  private constructor(options: MachineOptions, outer: ChildProcess, init: number, cell: Cell) {
    this.folder = options.folder;
    this.#outer = outer;
    this.#init = init;
    this.#cell = cell;
    this.#network = options.network;
    this.#ended = outer.exitCode === null && outer.signalCode === null ? once(outer, "exit") : Promise.resolve();
  }

  static async start(options: MachineOptions): Promise<Machine> {
    const { folder, disk, name, network, memoryMiB } = options;
    for (const part of ["disk", "root"]) mkdirSync(join(folder, part), { recursive: true });
    await makeDisk(join(folder, IMAGE), disk.image);
    const cell = Cell.make(name, memoryMiB);
    const outer = spawn(
      "setpriv",
      [
        ...["--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--ipc", "--uts"],
        ...(network ? [] : ["--net"]),
        ...["--propagation", "private", "bash", "-c", BOOT, "boot"],
      ],
      {
        stdio: ["ignore", "pipe", "pipe"],
        env: {
          PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
          FOLDER: folder,
          LOWER: disk.lower,
          CHANGES: disk.image === undefined ? (disk.changes ?? "") : "",
          NAME: name,
          CELL: cell.folders.join(" "),
        },
      },
    );
    const said = await new Promise<string>((resolve, reject) => {
      let all = "";
      const hear = (data: Buffer): void => {
        all += data.toString();
        if (all.includes("ready\n")) resolve(all);
      };
      outer.stdout?.on("data", hear);
      outer.stderr?.on("data", hear);
      outer.once("error", reject);
      outer.once("close", () => reject(new Error(`the machine did not start: ${all}`)));
    }).catch(async (error: unknown) => {
      await cell.remove();
      throw error;
    });
    if (said === "") throw new Error("unreachable");
    const init = Number(readFileSync(`/proc/${outer.pid}/task/${outer.pid}/children`, "utf8").trim().split(" ")[0]);
    return new Machine(options, outer, init, cell);
  }

  get alive(): boolean {
    return this.#outer.exitCode === null && this.#outer.signalCode === null;
  }

  /** Starts a program inside that runs as long as the machine does. */
  begin(argv: readonly string[]): void {
    this.spawn(argv, { ...AS_ROOT, stdin: "ignore" }).on("error", () => undefined);
  }

  /** Starts a program of this host that has the machine's network, and ends with it. */
  besides(argv: readonly string[]): void {
    const child = spawn("nsenter", ["-t", String(this.#init), "-n", "--", ...argv], { stdio: "ignore" });
    void this.#ended.finally(() => child.kill("SIGKILL"));
  }

  /** Starts a program inside. Its exit is that of the returned process; signals go by `signalLeader`. */
  spawn(argv: readonly string[], { user, cwd, env, stdin }: RunOptions): ChildProcess {
    const options: SpawnOptions = { stdio: [stdin, "pipe", "pipe"], env, cwd: "/" };
    const spaces = ["-m", "-p", "-i", "-u", ...(this.#network ? [] : ["-n"])];
    const into = ["-t", String(this.#init), ...spaces, "-S", String(user.uid), "-G", String(user.gid), `--wdns=${cwd}`];
    const enter = this.#cell.folders.map((folder) => `echo $$ > ${folder}/cgroup.procs`).join("; ");
    return spawn(
      "/bin/sh", // no bash: its own start-up file comes in where standard input is a socket
      ["-c", `${enter === "" ? ":" : enter}; exec /usr/bin/nsenter "$@"`, "enter", ...into, "--", ...argv],
      options,
    );
  }

  /** The process that was started inside: its id out here, and in there. */
  async leaderOf(child: ChildProcess): Promise<{ readonly outside: number; readonly inside: number } | undefined> {
    for (let round = 0; round < 200; round++) {
      if (child.exitCode !== null || child.signalCode !== null) return undefined;
      const children = read(`/proc/${child.pid}/task/${child.pid}/children`).trim();
      const outside = Number(children.split(" ")[0]);
      const inside = Number(/^NSpid:.*\t(\d+)$/m.exec(read(`/proc/${outside}/status`))?.[1]);
      if (children !== "" && inside > 0) return { outside, inside };
      await sleep(2);
    }
    return undefined;
  }

  /** Runs a program to its end; its stdout, or an error with what it said. */
  async run(
    argv: readonly string[],
    options: Partial<RunOptions> & { readonly input?: Uint8Array } = {},
  ): Promise<Run> {
    const child = this.spawn(argv, { ...AS_ROOT, ...options, stdin: "pipe" });
    const [out, err]: Buffer[][] = [[], []];
    child.stdout?.on("data", (data: Buffer) => out?.push(data));
    child.stderr?.on("data", (data: Buffer) => err?.push(data));
    child.stdin?.on("error", () => undefined).end(options.input ?? "");
    const [code, signal] = await once(child, "close");
    return {
      code: typeof code === "number" ? code : signal === null ? 1 : 137,
      stdout: Buffer.concat(out ?? []),
      stderr: Buffer.concat(err ?? []).toString("utf8"),
    };
  }

  /** Ends everything in it and removes its files. */
  async destroy(): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  /** Ends everything in it; its files stay. */
  async stop(): Promise<void> {
    this.#cell.thaw();
    this.#outer.kill("SIGKILL");
    await this.#ended;
    await this.#cell.remove();
  }

  /** Copies its disk as it is now: what runs has to stand still. */
  async copyDisk(target: string): Promise<void> {
    if (this.alive) await this.run(["/bin/sync"]);
    await makeDisk(target, join(this.folder, IMAGE));
  }

  /** Stops, or continues, every process inside but the first. */
  async signalAll(signal: "STOP" | "CONT"): Promise<void> {
    await this.run(["/bin/bash", "-c", `kill -${signal} -1; :`]);
  }
}

export interface Run {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const AS_ROOT: RunOptions = { user: { uid: 0, gid: 0 }, cwd: "/", env: { PATH }, stdin: "pipe" };

const IMAGE = "disk.ext4";
const DISK_SIZE = "10G";

/** Sparse: what is not written takes no room. */
async function makeDisk(target: string, from: string | undefined): Promise<void> {
  if (from === undefined) await exec("mkfs.ext4", ["-q", "-F", "-O", "^has_journal", "-m", "0", target, DISK_SIZE]);
  else await exec("cp", ["--sparse=always", "--reflink=auto", from, target]);
}

const exec = promisify(execFile);

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Runs as the first process of the new name spaces; the last program of it stays, and reaps. */
const BOOT = `
set -e
for cell in $CELL; do echo $$ > $cell/cgroup.procs; done
mount -o loop "$FOLDER/disk.ext4" "$FOLDER/disk"
mkdir -p "$FOLDER/disk/upper" "$FOLDER/disk/work" "$FOLDER/disk/home"
[ -z "$CHANGES" ] || cp -a "$CHANGES/." "$FOLDER/disk/upper"
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$FOLDER/disk/upper,workdir=$FOLDER/disk/work" "$FOLDER/root"
cd "$FOLDER/root"
mkdir -p proc sys dev run tmp home
mount --bind "$FOLDER/disk/home" home
mkdir -p home/user
chown 1000:1000 home/user
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs dev
mount -t tmpfs -o mode=755 tmpfs run
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
for node in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "dev/\${node%:*}" c 1 "\${node#*:}"; done
mknod -m 666 dev/tty c 5 0
mknod dev/loop-control c 10 237
for number in $(seq 0 127); do mknod "dev/loop$number" b 7 "$number"; done
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for at in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/\${at%:*}" "dev/\${at#*:}"; done
hostname "$NAME"
ip link set lo up
if [ -n "$CELL" ]; then
  mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
  for cell in $CELL; do
    at="sys/fs/cgroup/$(basename "$(dirname "$cell")")"
    mkdir "$at"
    mount --bind "$cell" "$at"
  done
fi
pivot_root . .
umount -l .
exec /bin/bash --norc --noprofile -c 'trap "" TERM INT HUP; echo ready; while :; do sleep 100000 & wait $!; done' init
`;

import { createHash, randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SandlotError } from "../../errors.ts";
import type { CommonOptions } from "../options.ts";
import type { Enforced } from "../sandbox.ts";
import { Account, type AccountOptions } from "./account.ts";
import { E2bBackend } from "./backend.ts";
import { ServiceError } from "./control.ts";
import { Gate, type GateOptions } from "./gate.ts";
import { type TemplateOptions, Templates } from "./templates.ts";

export interface E2bOptions extends CommonOptions, AccountOptions, GateOptions {
  readonly type: "e2b";
  readonly templates: TemplateOptions;
  /** A folder that all servers of this user on this host have in common: who builds a template holds a lock in it. */
  readonly lockDir: string;
  /** The PATH on which this host's own programs are found. */
  readonly hostPath: string;
  /** The image that stands for this host's own system folders; empty: tasks that need those cannot be played. */
  readonly hostImage: string;
  /** How long a machine lives on when this server is gone. It is renewed three times in that time. */
  readonly lifeS: number;
  /** US dollars for a second of one core, and of one GiB. */
  readonly pricePerCpuS: number;
  readonly pricePerGibS: number;
}

/** Opens the backend after trying out the account, and, where there is an image for it and it is not known yet, a sandbox. */
export async function openE2b(options: E2bOptions): Promise<E2bBackend> {
  const { stateDir, instance, runnerPath, hostImage, lifeS, templates } = options;
  if (options.apiKey === "") {
    throw new SandlotError("unsupported", "the e2b backend needs a key: set E2B_API_KEY or backend.api_key_file", {
      knob: "backend.api_key_file",
    });
  }
  await access(runnerPath, constants.X_OK).catch((cause: unknown) => {
    throw new SandlotError("unsupported", `the runner is not built: ${runnerPath} (run scripts/setup)`, { cause });
  });
  await mkdir(join(stateDir, "sandboxes"), { recursive: true, mode: 0o700 });
  const gate = new Gate(options);
  const account = new Account(options, gate);
  await account.find({ sandlot: instance }).catch((error: unknown) => {
    if (!(error instanceof ServiceError)) throw error;
    throw new SandlotError("unsupported", error.message, { cause: error, knob: "backend.api_url" });
  });
  const ground = {
    ...{ stateDir, instance, runnerPath, hostImage, lifeS, account, gate },
    templates: new Templates(account.control, { ...templates, lockDir: options.lockDir, hostPath: options.hostPath }),
    pricePerS: templates.cpu * options.pricePerCpuS + (templates.memoryMiB / 1_024) * options.pricePerGibS,
  };
  const enforced = await enforcedHere(options, (enforced) => new E2bBackend({ ...ground, enforced }));
  const backend = new E2bBackend({ ...ground, enforced });
  await backend.endStrays();
  await backend.sweep();
  return backend;
}

const UNKNOWN: Enforced = { memoryMiB: "NONE", cpuMilli: "NONE", pids: "NONE", diskMiB: "NONE" };

/** As a trial sandbox tells; once per kind of machine. Without an image for one nothing is promised before a sandbox is made: each tells for itself. */
async function enforcedHere(options: E2bOptions, open: (enforced: Enforced) => E2bBackend): Promise<Enforced> {
  const { stateDir, hostImage, templates, instance, apiUrl, domain } = options;
  if (hostImage === "") return UNKNOWN;
  const key = createHash("sha256")
    .update(JSON.stringify([hostImage, templates, apiUrl, domain]))
    .digest("hex");
  const file = join(stateDir, `e2b-limits-${key.slice(0, 16)}.json`);
  const known = await readFile(file, "utf8").catch(() => undefined);
  if (known !== undefined) return JSON.parse(known) as Enforced; // written below only, in a folder of our own
  const backend = open(UNKNOWN);
  try {
    const sandbox = await backend.create({
      id: `sandlot-${instance}-${randomBytes(16).toString("hex")}`,
      rootfs: { type: "host" },
      ...{ layers: [], binds: [], views: [], workdir: "/", network: "none" },
      env: { PATH: "/usr/bin:/bin" },
      limits: { memoryMiB: 64, cpuMilli: 1_000, pids: 32, diskMiB: 16 },
    });
    try {
      const { exitCode, note } = await sandbox.exec(["true"], { callId: "probe", timeoutMs: 60_000 });
      if (exitCode !== 0) throw new SandlotError("unsupported", `\`true\` ended with ${exitCode} ${note ?? ""}`);
      await writeFile(file, JSON.stringify(sandbox.enforced), { mode: 0o600 });
      return sandbox.enforced;
    } finally {
      await sandbox.dispose();
    }
  } finally {
    await backend.close();
  }
}

import { SandlotError } from "../errors.ts";
import type { Capabilities } from "../sandbox/sandbox.ts";

/** What tasks may need. Those that no backend can have yet are here so that a task says so itself, and is refused with that name. */
export const CAPABILITIES = [
  /** Its root file system is a container image. */
  "images",
  /** Absolute paths inside are its own. */
  "isolation",
  /** The network while the agent works, or while the tests run. */
  "network",
  /** More than one container. */
  "services",
  /** Instructions that follow one another, each with tests of its own. */
  "steps",
  /** Files outside of the workdir that are handed to the verifier. */
  "artifacts",
  "gpus",
  "windows",
  /** Commands run as another user than root. */
  "users",
  /** Something that reads the logs of its tests. */
  "log-parser",
  /** Words that say what is to be done. */
  "instruction",
  /** A command that runs its tests. */
  "test-command",
  /** Files of its tests that are fetched. */
  "test-assets",
  /** Variables of the environment that the host hands in. */
  "variables",
] as const;

type Capability = (typeof CAPABILITIES)[number];

interface Needing {
  readonly id: string;
  readonly needs: readonly { readonly capability: Capability; readonly reason: string }[];
}

/** Why a backend cannot play a task; empty when it can, as far as that goes. */
export function unmetNeeds({ needs }: Needing, { isolation, images }: Capabilities): string {
  const has = (capability: Capability): boolean =>
    (capability === "isolation" && isolation) || (capability === "images" && images);
  return needs
    .filter(({ capability }) => !has(capability))
    .map(({ capability, reason }) => `it needs the capability ${capability}: ${reason}`)
    .join("; ");
}

/** Fault `unsupported`, naming the capability, where `unmetNeeds` has something to say. */
export function refuseUnmet(
  task: Needing,
  backend: { readonly name: string; readonly capabilities: Capabilities },
): void {
  const unmet = unmetNeeds(task, backend.capabilities);
  if (unmet === "") return;
  throw new SandlotError("unsupported", `the backend ${backend.name} cannot play the task ${task.id}: ${unmet}`, {
    field: "task_id",
    knob: "backend",
  });
}

import type { Environment } from "../environments/environment.ts";
import type { Environments } from "../environments/prepare.ts";
import type { Backend } from "../sandbox/sandbox.ts";
import { backendOf } from "../sandbox/several.ts";
import type { Waiter } from "../shelf/flight.ts";
import { refuseUnmet, unmetNeeds } from "../tasks/needs.ts";
import type { Task } from "../tasks/task.ts";

interface Ground {
  readonly backend: Backend;
  readonly environments: Environments;
}

/** The environment in which an agent works on a task; that of the verifier, where it has one of its own, is made too: what cannot be graded is not begun. */
export async function prepareTask({ backend, environments }: Ground, task: Task, waiter: Waiter): Promise<Environment> {
  refuseUnmet(task, backendOf(backend, task.environment.backend));
  const environment = await environments.prepare(task.environment, waiter);
  if (task.grader.environment !== undefined) await environments.prepare(task.grader.environment, waiter);
  return environment;
}

/** Why this host cannot play a task; empty when nothing is known. */
export async function unplayableReason({ backend, environments }: Ground, task: Task): Promise<string> {
  const { capabilities } = backendOf(backend, task.environment.backend);
  const unmet = unmetNeeds(task, capabilities);
  if (unmet !== "") return unmet;
  const missing = await environments.missingRequirements(task.environment);
  return missing.map(({ message }) => message).join("; ");
}

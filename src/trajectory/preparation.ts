import { SandlotError } from "../errors.ts";
import type { Task } from "../tasks/task.ts";
import { prepareTask } from "./playing.ts";
import type { PrepareProgress } from "./rollouts.ts";
import { Bell } from "./waiting.ts";

type Ground = Parameters<typeof prepareTask>[0];

/** Environments prepared at once: they are bound by processors and network, not by waiting. */
const AT_ONCE = 2;

/** Prepares the environments of tasks, a few at a time; one that fails does not stop the others. Leaving the stream cancels what nobody else waits for. */
export async function* prepareAll(
  ground: Ground,
  tasks: readonly Task[],
  signal: AbortSignal,
): AsyncIterable<PrepareProgress> {
  const events: PrepareProgress[] = [];
  const bell = new Bell();
  const tell = (event: PrepareProgress): void => {
    events.push(event);
    bell.ring();
  };
  const left = [...tasks];
  for (const task of tasks) tell(event(task, "queued", ""));
  const worker = async (): Promise<void> => {
    for (let task = left.shift(); task && !signal.aborted; task = left.shift())
      await prepareOne(ground, task, signal, tell);
  };
  let over = false;
  const work = Promise.all(Array.from({ length: AT_ONCE }, worker)).finally(() => {
    over = true;
    bell.ring();
  });
  work.catch(() => undefined); // awaited below
  for (;;) {
    for (let next = events.shift(); next; next = events.shift()) yield next;
    if (over) break;
    await bell.next(60_000, signal);
    signal.throwIfAborted();
  }
  await work;
}

async function prepareOne(
  ground: Ground,
  task: Task,
  signal: AbortSignal,
  tell: (event: PrepareProgress) => void,
): Promise<void> {
  const began = performance.now();
  try {
    const onProgress = ({ stage, message }: { stage: string; message: string }): void =>
      tell(event(task, stage, message));
    const environment = await prepareTask(ground, task, { signal, onProgress });
    const prepareMs = Math.round(performance.now() - began);
    tell({ ...event(task, "ready", ""), environmentKey: environment.key, done: true, prepareMs });
  } catch (error) {
    if (!(error instanceof SandlotError)) throw error;
    tell({ ...event(task, "failed", error.message), fault: error.fault });
  }
}

function event(task: Task, stage: string, message: string): PrepareProgress {
  return { taskId: task.id, stage, message, done: false, prepareMs: 0 };
}

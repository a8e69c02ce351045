import { type ChatMessage, promptOf } from "../tasks/prompt.ts";
import type { Task } from "../tasks/task.ts";

/** One task as a trainer reads it, whatever the file's format. Nothing of how it is graded is in it, unless somebody asked for that. */
export interface Row {
  readonly index: number;
  readonly split: "train" | "val";
  readonly taskId: string;
  readonly dataSource: string;
  readonly repo: string;
  readonly baseCommit: string;
  readonly prompt: readonly ChatMessage[];
  /** Names of the tools that the policy is offered. */
  readonly tools: readonly string[];
  /** Empty unless `gold` was asked for. */
  readonly goldPatch: string;
}

export interface RowOptions {
  /** Name the hidden tests that fail before the change, and what counts as success, in the prompt. */
  readonly failingTests: boolean;
  /** Put the gold patch on the row, for supervised training: rows travel through the whole trainer. */
  readonly gold: boolean;
}

export function rowOf(task: Task, place: Pick<Row, "index" | "split">, { failingTests, gold }: RowOptions): Row {
  return {
    ...place,
    taskId: task.id,
    dataSource: `sandlot/${task.source.dataset}`,
    repo: task.repo,
    baseCommit: task.environment.baseCommit,
    prompt: chat(task, failingTests),
    tools: task.agent.tools,
    goldPatch: gold ? task.oracle.patch : "",
  };
}

/** What the server gives out as the task's prompt, and where the repository stands. */
export function chat(task: Task, failingTests: boolean): readonly ChatMessage[] {
  const commit = task.environment.baseCommit;
  const where = `The repository${task.repo === "" ? "" : ` is ${task.repo} and`} stands at commit ${commit}.`;
  return promptOf(task).map(({ role, content }) => {
    if (role === "system") return { role, content: commit === "" ? content : `${content}\n${where}` };
    return { role, content: failingTests ? `${content}\n\n${goal(task)}` : content };
  });
}

function goal({ grader: { failToPass, passToPass } }: Task): string {
  const names = failToPass.map((name) => `- ${name}`).join("\n");
  return `These tests fail now and must pass:\n${names}\nThe goal: all ${failToPass.length} of them pass, and so do all of the ${passToPass.length} that pass now.`;
}

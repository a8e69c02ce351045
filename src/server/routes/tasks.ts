import type { MessageInitShape } from "@bufbuild/protobuf";
import type { TaskSchema } from "../../gen/sandlot/v1/rollout_service_pb.ts";
import { matches, parseTaskFilter } from "../../tasks/filter.ts";
import { promptOf } from "../../tasks/prompt.ts";
import type { Task } from "../../tasks/task.ts";
import { identifier, invalid } from "../decode.ts";
import { encodeMessage, encodeTool } from "../encode.ts";
import type { RouteContext, Routes } from "./route.ts";

const PAGE = 500;
const MAX_PAGE = 5_000;

export function taskRoutes({ rollouts }: RouteContext): Routes<"listTasks" | "getTask"> {
  return {
    async listTasks({ filter: text, pageSize, pageToken }) {
      const filter = parseTaskFilter(text);
      const all = rollouts.tasks();
      const size = Math.min(pageSize || PAGE, MAX_PAGE);
      const page: MessageInitShape<typeof TaskSchema>[] = [];
      let index = pageToken === "" ? 0 : after(all, pageToken);
      for (; index < all.length && page.length < size; index++) {
        const task = all[index];
        if (!task || !matches(task, filter)) continue;
        const encoded = encodeTask(task, await rollouts.unplayable(task));
        if (filter.playable === undefined || filter.playable === String(encoded.playable)) page.push(encoded);
      }
      const more = all.slice(index).some((task) => matches(task, filter));
      return { tasks: page, nextPageToken: more ? token(all[index - 1]) : "" };
    },
    async getTask({ taskId }) {
      const task = rollouts.task(identifier(taskId, "task_id"));
      return {
        ...encodeTask(task, await rollouts.unplayable(task)),
        messages: promptOf(task).map(encodeMessage),
        tools: rollouts.toolSchemas(task).map(encodeTool),
      };
    },
  };
}

function encodeTask(task: Task, unplayableReason: string) {
  const { id, repo, language, difficulty, instruction, source, environment } = task;
  return {
    ...{ id, repo, language, difficulty, instruction, unplayableReason },
    dataset: source.dataset,
    baseCommit: environment.baseCommit,
    workdir: environment.workdir,
    playable: unplayableReason === "",
    backend: environment.backend || "default",
  };
}

/** A page token names the last task that was looked at, so that it means the same after a restart. */
const token = (task: Task | undefined): string => Buffer.from(task?.id ?? "").toString("base64url");

function after(tasks: readonly Task[], pageToken: string): number {
  const id = Buffer.from(pageToken, "base64url").toString();
  const index = tasks.findIndex((task) => task.id === id);
  if (index === -1)
    throw invalid("page_token", "the next_page_token of an earlier answer", JSON.stringify(pageToken.slice(0, 60)));
  return index + 1;
}

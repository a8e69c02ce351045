import { schemasOf } from "../tools/table.ts";
import type { Shape } from "./parquet.ts";
import type { Row } from "./row.ts";

/** What a trainer wants its rows to look like. */
export interface DatasetFormat {
  readonly extension: "parquet" | "jsonl";
  record(row: Row): Readonly<Record<string, unknown>>;
}

/** A tool's own arguments for verl's stock loop: one string leaf, the same for every row, since Parquet fills holes with null. */
const KWARGS: Shape = { create_kwargs: { task_id: "string" } };

/** The columns of verl's RLHFDataset. */
export const VERL_COLUMNS: Readonly<Record<string, Shape>> = {
  data_source: "string",
  agent_name: "string",
  prompt: [{ role: "string", content: "string" }],
  ability: "string",
  reward_model: { style: "string", ground_truth: "string" },
  extra_info: {
    index: "int64",
    split: "string",
    task_id: "string",
    instance_id: "string",
    repo: "string",
    base_commit: "string",
    gold_patch: "string",
    need_tools_kwargs: "boolean",
    tools_kwargs: { bash: KWARGS, submit_solution: KWARGS },
  },
};

const verl: DatasetFormat = {
  extension: "parquet",
  record: (row) => {
    const kwargs = { create_kwargs: { task_id: row.taskId } };
    return {
      data_source: row.dataSource,
      agent_name: "sandlot",
      prompt: row.prompt,
      ability: "code",
      reward_model: { style: "rule", ground_truth: "" },
      extra_info: {
        ...extra(row),
        index: BigInt(row.index),
        need_tools_kwargs: true,
        tools_kwargs: { bash: kwargs, submit_solution: kwargs },
      },
    };
  },
};

/** TRL hands every column to the environment's `reset`: flat, but for the prompt. */
const trl: DatasetFormat = {
  extension: "jsonl",
  record: (row) => ({ prompt: row.prompt, data_source: row.dataSource, ...extra(row) }),
};

const skyrl: DatasetFormat = {
  extension: "jsonl",
  record: (row) => ({
    data_source: row.dataSource,
    prompt: row.prompt,
    env_class: "sandlot",
    reward_spec: { method: "rule", ground_truth: "" },
    extra_info: extra(row),
  }),
};

const jsonl: DatasetFormat = {
  extension: "jsonl",
  record: (row) => ({
    ...extra(row),
    data_source: row.dataSource,
    messages: row.prompt,
    tools: schemasOf(row.tools),
  }),
};

/** NeMo-Gym's rows are requests of the Responses API, whose tools have no `function` around them. */
const nemoGym: DatasetFormat = {
  extension: "jsonl",
  record: (row) => ({
    responses_create_params: {
      input: row.prompt,
      tools: schemasOf(row.tools).map((tool) => ({ type: "function", ...tool.function, strict: false })),
      parallel_tool_calls: false,
    },
    data_source: row.dataSource,
    ...extra(row),
  }),
};

export const DATASET_FORMATS = { verl, trl, skyrl, "nemo-gym": nemoGym, jsonl } as const;

function extra(row: Row): Record<string, unknown> {
  return {
    index: row.index,
    split: row.split,
    task_id: row.taskId,
    instance_id: row.taskId,
    repo: row.repo,
    base_commit: row.baseCommit,
    gold_patch: row.goldPatch,
  };
}

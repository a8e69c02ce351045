import { SandlotError } from "../../errors.ts";
import { Judge } from "../../verdict/judge-in-worker.ts";
import { type InstanceReport, instanceReport, pythonJson } from "../../verdict/official/report.ts";
import { OFFICIAL_RULES, type OfficialRule } from "../../verdict/official/repositories.ts";
import { type OfficialTask, readOfficialRow } from "../../verdict/official/row.ts";
import type { Verdict } from "../../verdict/verdict.ts";
import { type Command, parse, required, UsageError } from "../arguments.ts";
import { readInput } from "../input.ts";

export const verdict: Command = {
  help: `Usage: sandlot verdict --task ROW --log FILE [OPTIONS]

  --task ROW         a row of a SWE-bench data set: a file with one JSON object
  --log FILE         what the row's tests printed
  --rule RULE        ${OFFICIAL_RULES.join(" or ")} (the default is the first)
  --patch FILE       the submission whose run printed the log; what it holds changes nothing
  --statuses         in place of the report: whether the log could be read, the status of every test in it, and the report

Prints the report.json that this release of the harness writes, byte for byte.
Exit status 0 when there is one; 1 when there is none, because an input is wrong or because that release raises at this log.`,
  async run(args) {
    const flags = parse(args, {
      task: { type: "string" },
      log: { type: "string" },
      rule: { type: "string", default: OFFICIAL_RULES[0] },
      patch: { type: "string" },
      statuses: { type: "boolean", default: false },
    });
    const rule = ruleOf(flags.rule);
    const task = readTask(required(flags.task, "--task ROW"), rule);
    const log = readInput("--log", required(flags.log, "--log FILE"));
    if (flags.patch !== undefined) readInput("--patch", flags.patch);
    const judged = await judge(log, task);
    const report = judged.raised ? undefined : { [task.instanceId]: instanceReport(rule, judged) };
    if (!flags.statuses && report === undefined) throw noReport(rule, judged);
    process.stdout.write(`${pythonJson(flags.statuses ? withStatuses(judged, report) : report)}\n`);
    return report === undefined ? 1 : 0;
  },
};

function ruleOf(name: string): OfficialRule {
  const rule = OFFICIAL_RULES.find((one) => one === name);
  if (rule !== undefined) return rule;
  throw new UsageError(`--rule: expected ${OFFICIAL_RULES.join(" or ")}, got ${JSON.stringify(name)}`);
}

function readTask(file: string, rule: OfficialRule): OfficialTask {
  const read = readOfficialRow(parseJson(readInput("--task", file).toString(), file), rule);
  if (read.ok) return read.value;
  throw new SandlotError("invalid", read.problems.map((problem) => `${file}: ${problem}`).join("\n"), {
    field: "task",
  });
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SandlotError("invalid", `${file}: expected one JSON object, got an error: ${why}`, {
      field: "task",
      cause,
    });
  }
}

async function judge(log: Uint8Array, { expectation }: OfficialTask): Promise<Verdict> {
  const worker = new Judge({ keepStatuses: Number.POSITIVE_INFINITY });
  try {
    const judgement = await worker.judge(log, expectation);
    if (judgement.kind === "verdict") return judgement.verdict;
    throw new SandlotError("invalid", `--log: ${judgement.reason}`, { field: "log" });
  } finally {
    await worker.close();
  }
}

function noReport(rule: OfficialRule, { problem }: Verdict): SandlotError {
  return new SandlotError("invalid", `--log: ${rule} raises at this log and writes no report: ${problem}`, {
    field: "log",
  });
}

function withStatuses(judged: Verdict, report: Readonly<Record<string, InstanceReport>> | undefined): object {
  const { found, raised, problem, statuses } = judged;
  return { found, raised, problem, status_map: Object.fromEntries(statuses), report };
}

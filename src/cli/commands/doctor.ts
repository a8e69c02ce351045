import { styleText } from "node:util";
import { SandlotError } from "../../errors.ts";
import { type Command, parse } from "../arguments.ts";
import { CHECKS, type Check, type Finding } from "../checks.ts";
import { printJson } from "../print.ts";
import { readSettings, type Settings, STACK_HELP, STACK_OPTIONS } from "../settings.ts";

const COLOURS = { ok: "green", warn: "yellow", fail: "red" } as const;

export const doctor: Command = {
  help: `Usage: sandlot doctor [OPTIONS]

  --json             one JSON document: a list of { name, status, message }
${STACK_HELP}

Makes small trial sandboxes and removes them. Exit status 1 when something fails that every server needs.`,
  async run(args) {
    const flags = parse(args, { ...STACK_OPTIONS, json: { type: "boolean", default: false } });
    const settings = readSettings(flags);
    const findings: Finding[] = [];
    for (const check of CHECKS) {
      for (const finding of await looked(check, settings)) {
        findings.push(finding);
        if (!flags.json) process.stdout.write(`${line(finding)}\n`);
      }
    }
    if (flags.json) printJson(findings);
    return findings.some(({ status }) => status === "fail") ? 1 : 0;
  },
};

async function looked(check: Check, settings: Settings): Promise<readonly Finding[]> {
  try {
    return await check.look(settings);
  } catch (error) {
    if (!(error instanceof SandlotError)) throw error;
    return [{ name: check.name, status: "fail", message: error.message }];
  }
}

function line({ name, status, message }: Finding): string {
  return `${styleText(COLOURS[status], status.padEnd(4))}  ${name.padEnd(21)}  ${message}`;
}

import type { ToolSchema } from "../tool.ts";
import { type Format, named, type OneCall, plainArguments, reading } from "./format.ts";
import { blocks, cut } from "./scan.ts";

const DSML = "｜DSML｜";

/**
 * V3 and R1: `<｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME` and the arguments in a block of json; V3.1: `<｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{...}`; from V3.2 on `<｜DSML｜invoke name="NAME">` with
 * `<｜DSML｜parameter name="KEY" string="true">`.
 */
export const deepseek: Format = {
  name: "deepseek",
  read(text, tools) {
    const marked = blocks(text, "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>").map(({ inside }) => readMarked(inside));
    const invoked = blocks(text, `<${DSML}invoke `, `</${DSML}invoke>`).map(({ inside }) => readInvoke(inside, tools));
    return reading([...marked, ...invoked]);
  },
};

function readMarked(inside: string): OneCall | string {
  const [left, right] = cut(inside, "<｜tool▁sep｜>") ?? [];
  if (left === undefined || right === undefined) return "expected <｜tool▁sep｜> between the name and the arguments";
  const [name, fenced] = cut(right, "```json") ?? [];
  if (name === undefined || fenced === undefined) return named(left, right);
  const [json] = cut(fenced, "\n```") ?? [fenced];
  return named(name, json);
}

function readInvoke(inside: string, tools: readonly ToolSchema[]): OneCall | string {
  const name = attribute(inside, "name");
  if (name === undefined) return `expected <${DSML}invoke name="NAME">`;
  const texts: [string, string][] = [];
  const values: [string, unknown][] = [];
  for (const { inside: parameter } of blocks(inside, `<${DSML}parameter `, `</${DSML}parameter>`)) {
    const key = attribute(parameter, "name");
    const [head = "", value] = cut(parameter, ">") ?? [];
    if (key === undefined || value === undefined) return `expected <${DSML}parameter name="KEY">VALUE`;
    const parsed = head.includes('string="false"') ? scalar(value) : undefined;
    if (parsed === undefined) texts.push([key, value]);
    else values.push([key, parsed]);
  }
  const plain = JSON.parse(plainArguments(name, texts, tools)) as object; // our own JSON
  return named(name, JSON.stringify({ ...plain, ...Object.fromEntries(values) }));
}

/** Undefined where it is no JSON: then it is text. */
function scalar(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** Of the tag that the text begins in. */
function attribute(text: string, key: string): string | undefined {
  const [head = ""] = cut(text, ">") ?? [];
  const [, after = ""] = cut(head, `${key}="`) ?? [];
  return cut(after, '"')?.[0];
}

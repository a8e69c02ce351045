import { describe, expect, test } from "vitest";
import { SandlotError } from "../../errors.ts";
import { schemasOf } from "../table.ts";
import type { Reading } from "./format.ts";
import { FORMAT_NAMES, readCalls } from "./table.ts";

const TOOLS = schemasOf(["bash", "str_replace_editor", "submit_solution"]);

/** Name and arguments of each call, or the problem. */
function read(format: string, text: string): unknown {
  const found = readCalls(format, text, TOOLS);
  if (found.type === "problem") return found.problem;
  return found.calls.map(({ name, argumentsJson }) => [name, JSON.parse(argumentsJson)]);
}

const bashOf = (command: string, more: object = {}): unknown => ["bash", { command, ...more }];
const INSERT = { command: "insert", path: "/a", insert_line: 3, new_str: "  x = 1\n" };

/** What models write, and the calls that it holds. */
const WRITTEN: readonly (readonly [format: string, text: string, calls: readonly unknown[]])[] = [
  ["hermes", 'I look.\n<tool_call>\n{"name": "bash", "arguments": {"command": "ls"}}\n</tool_call>', [bashOf("ls")]],
  [
    "hermes",
    '<tool_call>{"name":"bash","arguments":{"command":"a"}}</tool_call>\n<tool_call>{"name":"bash","arguments":"{\\"command\\":\\"b\\"}"}',
    [bashOf("a"), bashOf("b")],
  ],
  ["hermes", "I am done thinking, and say so.", []],
  ["hermes", '<think><tool_call>{"name": "bash"}</tool_call></think>Nothing yet.', []],
  ["hermes", '<tool_call>{"name": "submit_solution"}</tool_call>', [["submit_solution", {}]]],
  [
    "qwen3_coder",
    "<tool_call>\n<function=bash>\n<parameter=command>\ncd /testbed\n  ls <b>\n</parameter>\n<parameter=stateless>\nTrue\n</parameter>\n</function>\n</tool_call>",
    [bashOf("cd /testbed\n  ls <b>", { stateless: true })],
  ],
  [
    "qwen3_coder",
    "<function=str_replace_editor>\n<parameter=command>insert</parameter><parameter=path>/a</parameter><parameter=insert_line>3</parameter><parameter=new_str>\n  x = 1\n\n</parameter></function>",
    [["str_replace_editor", INSERT]],
  ],
  ["llama3_json", '{"name": "bash", "parameters": {"command": "echo \\"}\\""}}', [bashOf('echo "}"')]],
  [
    "llama3_json",
    '<|python_tag|>{"name":"bash","parameters":{"command":"a"}}; {"name":"bash","arguments":{"command":"b"}}<|eom_id|>',
    [bashOf("a"), bashOf("b")],
  ],
  ["llama3_json", 'The object {"name": "x"} in a sentence, and\n{"other": 1}\nare no calls.', []],
  ["mistral", '[TOOL_CALLS][{"name": "bash", "arguments": {"command": "ls []"}}]', [bashOf("ls []")]],
  ["mistral", '[TOOL_CALLS]bash[ARGS]{"command": "a"}[TOOL_CALLS]bash{"command": "b"}', [bashOf("a"), bashOf("b")]],
  ["mistral", '[TOOL_CALLS]bash[CALL_ID]abc123def[ARGS]{"command": "a"}', [bashOf("a")]],
  [
    "deepseek",
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>bash\n```json\n{"command": "ls"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    [bashOf("ls")],
  ],
  [
    "deepseek",
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>bash<｜tool▁sep｜>{"command": "a"}<｜tool▁call▁end｜><｜tool▁call▁begin｜>bash<｜tool▁sep｜>{"command": "b"}<｜tool▁call▁end｜>',
    [bashOf("a"), bashOf("b")],
  ],
  [
    "deepseek",
    '<｜DSML｜function_calls><｜DSML｜invoke name="bash"><｜DSML｜parameter name="command" string="true">ls > x</｜DSML｜parameter><｜DSML｜parameter name="stateless" string="false">true</｜DSML｜parameter></｜DSML｜invoke></｜DSML｜function_calls>',
    [bashOf("ls > x", { stateless: true })],
  ],
  [
    "glm",
    "<tool_call>str_replace_editor\n<arg_key>command</arg_key>\n<arg_value>insert</arg_value>\n<arg_key>path</arg_key><arg_value>/a</arg_value><arg_key>insert_line</arg_key><arg_value>3</arg_value><arg_key>new_str</arg_key><arg_value>  x = 1\n</arg_value>\n</tool_call>",
    [["str_replace_editor", INSERT]],
  ],
  ["glm", "<tool_call>submit_solution</tool_call>", [["submit_solution", {}]]],
  [
    "kimi",
    '<|tool_calls_section_begin|><|tool_call_begin|>functions.bash:0<|tool_call_argument_begin|>{"command": "ls"}<|tool_call_end|><|tool_calls_section_end|>',
    [bashOf("ls")],
  ],
  [
    "gpt-oss",
    '<|channel|>analysis<|message|>to=functions.no is what I think<|end|><|start|>assistant<|channel|>commentary to=functions.bash <|constrain|>json<|message|>{"command":"ls"}<|call|>',
    [bashOf("ls")],
  ],
  [
    "gpt-oss",
    '<|start|>assistant to=functions.bash<|channel|>commentary json<|message|>{"command":"ls"}',
    [bashOf("ls")],
  ],
  ["gpt-oss", "<|channel|>final<|message|>I am done.<|return|>", []],
  [
    "mini-swe-agent",
    "THOUGHT: I look.\n\n```bash\nls -la\ncat a\n```\n",
    [bashOf("ls -la\ncat a", { stateless: true })],
  ],
  ["mini-swe-agent", "```mswea_bash_command\nls\n```", [bashOf("ls", { stateless: true })]],
  [
    "mini-swe-agent",
    "```bash\necho COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && git add -A && git diff --cached\n```",
    [["submit_solution", {}]],
  ],
  [
    "r2e",
    "I edit.\n<function=bash>\n  <parameter=command> ls </parameter>\n</function>\n<function=bash><parameter=command>later</parameter></function>",
    [bashOf("ls")],
  ],
];

test.each(WRITTEN)("%s: %s", (format, text, calls) => {
  expect(read(format, text)).toEqual(calls);
});

test("what is taken from the model's message comes back as ids", () => {
  const text = "<|tool_call_begin|>functions.bash:7<|tool_call_argument_begin|>{}<|tool_call_end|>";
  expect(readCalls("kimi", text, TOOLS)).toMatchObject({ calls: [{ id: "functions.bash:7" }] });
  const two = '<tool_call>{"name":"a"}</tool_call><tool_call>{"name":"b"}</tool_call>';
  expect(readCalls("hermes", two, TOOLS)).toMatchObject({ calls: [{ id: "call_0" }, { id: "call_1" }] });
});

const UNREADABLE: readonly (readonly [format: string, text: string, why: RegExp])[] = [
  ["hermes", '<tool_call>{"name": "bash", "arguments": {"command": "ls"</tool_call>', /tool call 1 .*not JSON/],
  ["hermes", '<tool_call>{"name":"bash"}</tool_call><tool_call>[1]</tool_call>', /tool call 2 .*another JSON value/],
  ["hermes", '<tool_call>{"arguments": {}}</tool_call>', /expected "name"/],
  ["hermes", "<think>I never come to an end <tool_call>", /ends before its reasoning does/],
  ["qwen3_coder", "<function=bash><parameter=command>ls", /one that does not end/],
  ["qwen3_coder", "<function=>x</function>", /name of a tool, got nothing/],
  ["llama3_json", '{"name": "bash", "parameters": {', /not JSON/],
  ["mistral", "[TOOL_CALLS]bash", /no arguments/],
  ["mistral", "[TOOL_CALLS][{]", /not JSON/],
  ["deepseek", "<｜tool▁call▁begin｜>bash<｜tool▁call▁end｜>", /tool▁sep/],
  ["glm", "<tool_call>bash<arg_key>command</arg_key></tool_call>", /<arg_value>/],
  ["kimi", "<|tool_call_begin|>functions.bash:0<|tool_call_end|>", /between the name and the arguments/],
  ["gpt-oss", "<|channel|>commentary to=functions.bash <|constrain|>json", /<\|message\|>/],
  ["mini-swe-agent", "no block at all", /exactly one block .* got 0/],
  ["mini-swe-agent", "```bash\na\n```\n```bash\nb\n```", /got 2/],
];

test.each(UNREADABLE)("%s says why it cannot read %s", (format, text, why) => {
  const problem = read(format, text);
  expect(problem).toMatch(why);
  expect(problem).toMatch(/^Nothing was run: /);
});

test("a format that there is not, and a text that no model writes, are the caller's mistake", () => {
  for (const [format, text] of [
    ["hermess", ""],
    ["hermes", "x".repeat((4 << 20) + 1)],
  ] as const)
    expect(() => readCalls(format, text, TOOLS)).toThrow(SandlotError);
});

test("names from an object's own parts are only names", () => {
  expect(read("qwen3_coder", "<function=bash><parameter=__proto__>1</parameter></function>")).toEqual([
    ["bash", JSON.parse('{"__proto__": "1"}')],
  ]);
});

/** What the formats are made of. */
const PIECES = [
  ..."<tool_call> </tool_call> <function= </function> <parameter= </parameter> <arg_key> </arg_key> <arg_value> </arg_value> [TOOL_CALLS] [ARGS] [CALL_ID] <think> </think> ```bash ``` <|python_tag|>".split(
    " ",
  ),
  ..."<｜tool▁call▁begin｜> <｜tool▁call▁end｜> <｜tool▁sep｜> ```json <|message|> <|call|> <|channel|> to=functions. <|start|> <|tool_call_begin|> <|tool_call_argument_begin|> <|tool_call_end|>".split(
    " ",
  ),
  ...[
    '<｜DSML｜invoke name="',
    "</｜DSML｜invoke>",
    '<｜DSML｜parameter name="',
    "</｜DSML｜parameter>",
    ' string="false"',
  ],
  ...[
    "\n",
    " ",
    ">",
    "{",
    "}",
    "[",
    "]",
    '"',
    "\\",
    ":",
    ";",
    ",",
    "bash",
    "command",
    '"name"',
    '"arguments"',
    "__proto__",
  ],
  ...["\u0000", "\ud800", "\u2028", "é", "1", "true"],
];

/** Repeatable: the seed is in the name of a failure. */
function* random(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

describe.each(FORMAT_NAMES)("%s", (format) => {
  const seed = Number(process.env["SANDLOT_SEED"] ?? 1);

  test(`gives calls or a problem for any text (SANDLOT_SEED=${seed})`, () => {
    const numbers = random(seed);
    const next = (below: number): number => Math.floor((numbers.next().value as number) * below);
    for (let round = 0; round < 3000; round++) {
      const text = Array.from({ length: next(30) }, () => PIECES[next(PIECES.length)]).join("");
      const found: Reading = readCalls(format, text, TOOLS);
      const isProblem = found.type === "problem" && found.problem.length > 20;
      const isCalls = found.type === "calls" && found.calls.every(({ id, name }) => id !== "" && name !== "");
      expect([text, isProblem || isCalls]).toEqual([text, true]);
      expect(readCalls(format, text, TOOLS)).toEqual(found);
    }
  });

  test("is done with a million characters of any of its pieces before the test's time is over", () => {
    for (const piece of PIECES)
      for (const text of [piece.repeat(2 ** 20 / piece.length), `${piece}{"x\n`.repeat(100_000)])
        expect(readCalls(format, text, TOOLS).type).toMatch(/^(calls|problem)$/);
  });

  test("takes arguments of any depth", () => {
    const deep = `${"[".repeat(200_000)}${"]".repeat(200_000)}`;
    const all = [`{"name":"bash","arguments":${deep}}`, `[{"name":"bash","arguments":${deep}}]`, `bash{"a":${deep}}`];
    for (const text of ["<tool_call>", "[TOOL_CALLS]", ""].flatMap((mark) => all.map((json) => mark + json)))
      expect(readCalls(format, text, TOOLS).type).toMatch(/^(calls|problem)$/);
  });
});

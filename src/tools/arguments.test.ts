import { expect, test } from "vitest";
import { parseArguments } from "./arguments.ts";
import { bash } from "./bash.ts";
import { strReplaceEditor } from "./str-replace-editor.ts";
import { submitSolution } from "./submit-solution.ts";

const problem = (json: string, tool = bash): string => {
  const parsed = parseArguments(tool, json);
  return parsed.ok ? "" : parsed.problem;
};

test.each([
  ["not json", "expected a JSON object, got text that is not JSON"],
  ["{", "expected a JSON object, got text that is not JSON"],
  ["[]", "expected a JSON object, got a list"],
  ["null", "expected a JSON object, got null"],
  ['"ls"', "expected a JSON object, got a string"],
  ["3", "expected a JSON object, got an integer"],
  ["", "`command` missing; its parameters are command (required), stateless"],
  ["{}", "`command` missing"],
  ['{"command":null}', "`command` missing"],
  ['{"command":3}', "parameter `command`: expected a string, got an integer"],
  ['{"command":["ls"]}', "parameter `command`: expected a string, got a list"],
  ['{"command":"a\\u0000b"}', "parameter `command`: expected text without NUL bytes"],
  ['{"command":"ls","stateless":"yes"}', "parameter `stateless`: expected a boolean, got a string"],
  ['{"command":"ls","timeout":3}', 'there is no parameter "timeout"; its parameters are command (required), stateless'],
  ['{"command":"ls","__proto__":{}}', 'there is no parameter "__proto__"'],
  ['{"command":"ls","constructor":1}', 'there is no parameter "constructor"'],
  [`{"command":"${"x".repeat(1 << 20)}"}`, "expected at most 1048576 bytes, got 1048590"],
  ["[".repeat(500_000), "expected a JSON object, got text that is not JSON"],
])("arguments %.60s are refused", (json, said) => {
  expect(problem(json)).toContain(said);
});

test.each([
  [
    '{"command":"fly","path":"/x"}',
    "parameter `command`: expected one of view, create, str_replace, insert, undo_edit",
  ],
  ['{"command":"view","path":"/x","insert_line":1.5}', "parameter `insert_line`: expected an integer, got a number"],
  ['{"command":"view","path":"/x","insert_line":"1"}', "parameter `insert_line`: expected an integer, got a string"],
  ['{"command":"view","path":"/x","view_range":{}}', "parameter `view_range`: expected a string, got an object"],
])("editor arguments %s are refused", (json, said) => {
  expect(problem(json, strReplaceEditor)).toContain(said);
});

test("null counts as absent, and a list is taken where a parameter allows it", () => {
  const parsed = parseArguments(strReplaceEditor, '{"command":"view","path":"/x","view_range":[1,2],"new_str":null}');
  expect(parsed).toEqual({ ok: true, args: { command: "view", path: "/x", view_range: "[1,2]" } });
});

test("a list of any depth is told of", () => {
  const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
  expect(problem(`{"command":"view","path":"/x","view_range":${deep}}`, strReplaceEditor)).toBe(
    "parameter `view_range`: the list is nested too deeply",
  );
});

test("no arguments at all suit a tool without parameters", () => {
  expect(parseArguments(submitSolution, " ")).toEqual({ ok: true, args: {} });
  expect(problem('{"x":1}', submitSolution)).toBe('there is no parameter "x"; this tool has none');
});

test("schemas have flat scalars only", () => {
  for (const { schema } of [bash, strReplaceEditor, submitSolution])
    for (const { type } of Object.values(schema.function.parameters.properties))
      expect(["string", "integer", "number", "boolean"]).toContain(type);
  expect(strReplaceEditor.listsAsText).toEqual(["view_range"]);
});

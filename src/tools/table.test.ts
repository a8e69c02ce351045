import { afterEach, beforeEach, expect, test } from "vitest";
import { CAPS, FolderSandbox } from "../../test/support/folder-sandbox.ts";
import { feedbackAfterTurn } from "./feedback.ts";
import { callTool, isSubmit, schemasOf } from "./table.ts";

let sandbox: FolderSandbox;

beforeEach(async () => {
  sandbox = await FolderSandbox.create();
});

afterEach(async () => {
  await sandbox[Symbol.asyncDispose]();
});

const call = (offered: readonly string[], name: string, json: string) =>
  callTool(offered, name, json, {
    sandbox,
    state: {},
    timeoutMs: 120_000,
    noOutputTimeoutMs: 0,
    ...CAPS,
    outputBytes: 1000,
  });

test("an unknown tool, or one that is not offered, is an observation that names the tools", async () => {
  for (const name of ["python", "", "__proto__", "str_replace_editor"])
    expect(await call(["bash", "submit_solution"], name, "{}")).toMatchObject({
      kind: "TOOL_ERROR",
      text: `There is no tool "${name}". The tools are: bash, submit_solution.`,
    });
});

test("bad arguments are an observation and nothing runs", async () => {
  const result = await call(["bash"], "bash", "rm -rf x");
  expect(result).toMatchObject({ kind: "TOOL_ERROR", state: {}, commandMs: 0 });
  expect(result.text).toMatch(/^The arguments of bash cannot be used: expected a JSON object/);
});

test("only an offered submit_solution submits", () => {
  expect(isSubmit(["bash", "submit_solution"], "submit_solution")).toBe(true);
  expect(isSubmit(["bash"], "submit_solution")).toBe(false);
  expect(isSubmit(["bash"], "bash")).toBe(false);
});

test("schemas come in the order asked for, and an unknown name is the caller's fault", () => {
  expect(schemasOf(["submit_solution", "bash"]).map((schema) => schema.function.name)).toEqual([
    "submit_solution",
    "bash",
  ]);
  expect(() => schemasOf(["bash", "python"])).toThrow(
    /expected tools among bash, str_replace_editor, submit_solution, execute_bash, .*, swe_pytest, got "python"/,
  );
});

const after = (
  feedback: "none" | "reminder" | "visible_tests",
  visibleTestCommand: string,
  calledTool: boolean,
  timeoutMs = 120_000,
) => feedbackAfterTurn({ feedback, visibleTestCommand }, { calledTool, sandbox, timeoutMs, outputBytes: 1000 });

test("feedback after a turn follows the task's policy", async () => {
  expect(await after("none", "echo x", false)).toBeUndefined();
  expect(await after("reminder", "echo x", true)).toBeUndefined();
  expect(await after("reminder", "echo x", false)).toContain("You did not call a tool");
  expect(await after("visible_tests", "", true)).toBeUndefined();
  expect(await after("visible_tests", "echo ok", true)).toBe(
    "The repository's tests (`echo ok`) passed. Their output:\nok\n",
  );
  expect(await after("visible_tests", "exit 3", true)).toContain("failed (exit code 3)");
  expect(await after("visible_tests", "sleep 600", true, 300)).toContain("did not end within 0.3 s");
});

import type { Task } from "./task.ts";

export interface ChatMessage {
  readonly role: "system" | "user";
  readonly content: string;
}

/** The prompt of a task: the same for every trajectory of it, and made of nothing hidden. `workdir` is where the backend puts the repository. */
export function promptOf(task: Task, workdir: string = task.environment.workdir): readonly ChatMessage[] {
  return [
    { role: "system", content: systemText(task, workdir) },
    { role: "user", content: userText(task, workdir) },
  ];
}

const TOOL_RULES = new Map([
  [
    "bash",
    "`bash` runs a command and returns its output. The working directory and exported variables are kept between calls. No command gets input from a terminal: do not start interactive programs.",
  ],
  ["str_replace_editor", "`str_replace_editor` views, creates and edits files by absolute path."],
  [
    "submit_solution",
    "`submit_solution` ends your work and hands in the repository as it then is. It can be used once.",
  ],
  [
    "execute_bash",
    "`execute_bash` runs a command in the repository, each time in a fresh shell, and returns its output. No command gets input from a terminal: do not start interactive programs.",
  ],
  ["file_editor", "`file_editor` views, creates and edits files by absolute path."],
  ["search", "`search` finds a text below a folder or in a file."],
  ["swe_clone", "`swe_clone` throws your changes away and begins with a clean copy of the repository."],
  ["swe_install", "`swe_install` installs the project into its Python."],
  ["swe_apply_patch", "`swe_apply_patch` applies a unified diff to the repository, as a whole or not at all."],
  ["swe_pytest", "`swe_pytest` runs the repository's own tests by pytest."],
  ["finish", "`finish` ends your work and hands in the repository as it then is. It can be used once."],
]);

function systemText(task: Task, workdir: string): string {
  const rules = task.agent.tools.flatMap((tool) => TOOL_RULES.get(tool) ?? []);
  return [
    `You are a software engineer at work in a private Linux sandbox without network. A git repository is checked out at ${workdir}. You can read, change and run everything in it.`,
    "You act only through tool calls:",
    ...rules.map((rule) => `- ${rule}`),
    "Output that is too long is cut in the middle. The number of calls and the time are limited.",
  ].join("\n");
}

function userText(task: Task, workdir: string): string {
  const last = ["submit_solution", "finish"].find((tool) => task.agent.tools.includes(tool));
  const submit = last ? `\n- When you are done, call \`${last}\`.` : "";
  const tests = task.agent.visibleTestCommand;
  const visible = tests === "" ? "" : `\n- The repository's own tests run with \`${tests}\`.`;
  const instruction = task.instruction.trimEnd();
  return task.kind === "task"
    ? `Do this task in the folder ${workdir}:

<task>
${instruction}
</task>

- Your work is judged by tests that you cannot see. Only what is below ${workdir} when you end counts.${visible}${submit}`
    : `Resolve this issue in the repository at ${workdir}:

<issue>
${instruction}
</issue>

- Change the source code so that the issue is resolved. What worked before must go on working.
- Your change is judged by tests that you cannot see; changes to test files have no effect.${visible}${submit}`;
}

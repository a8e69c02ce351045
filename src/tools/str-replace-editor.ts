import { isUtf8 } from "node:buffer";
import { listing } from "./editor/listing.ts";
import { AROUND, lineOf, numbered, occurrences, readRange } from "./editor/snippet.ts";
import { recall, remember } from "./editor/undo.ts";
import { answer, refusal } from "./refusal.ts";
import { clipped } from "./text.ts";
import type { Tool, ToolCall, ToolResult } from "./tool.ts";

const MAX_FILE_BYTES = 2 << 20;

type Edit = (path: string, args: Readonly<Record<string, unknown>>, call: ToolCall) => Promise<ToolResult>;

const COMMANDS: Readonly<Record<string, Edit>> = { view, create, str_replace: replace, insert, undo_edit: undo };

/** Views and edits files, with the commands and the texts of the tool of that name that SWE-agent and R2E-Gym have. Tabs and line ends stay as they are. */
export const strReplaceEditor: Tool = {
  listsAsText: ["view_range"],
  schema: {
    type: "function",
    function: {
      name: "str_replace_editor",
      description:
        "Views, creates and edits text files. `view` shows a file with line numbers, or a folder two levels deep. `create` makes a new file and does not overwrite one. `str_replace` replaces the one place where `old_str` stands: it must match exactly, blanks included, and be unique in the file. `insert` puts `new_str` after line `insert_line`. `undo_edit` takes the last edit of the file back.",
      parameters: {
        type: "object",
        properties: {
          command: { type: "string", description: "What to do.", enum: Object.keys(COMMANDS) },
          path: { type: "string", description: "Absolute path of the file or folder, e.g. `/testbed/setup.py`." },
          file_text: { type: "string", description: "For `create`: the content of the file." },
          old_str: { type: "string", description: "For `str_replace`: the text to replace." },
          new_str: {
            type: "string",
            description: "For `str_replace`: what to put in its place (default: nothing). For `insert`: the new lines.",
          },
          insert_line: {
            type: "integer",
            description: "For `insert`: the number of the line after which to insert; 0 = at the beginning.",
          },
          view_range: {
            type: "string",
            description:
              "For `view` of a file: first and last line, e.g. `[11, 12]`; a last line of -1 is the end of the file.",
          },
        },
        required: ["command", "path"],
      },
    },
  },
  async run(args, call) {
    const given = String(args["path"]);
    if (given === "") return refusal("Parameter `path` is empty.", call);
    const path = given.startsWith("/") ? given : `${call.sandbox.workdir.replace(/\/$/, "")}/${given}`;
    const edit = COMMANDS[String(args["command"])];
    if (!edit) throw new Error("the schema let an unknown command through");
    return edit(path, args, call);
  },
};

async function view(path: string, args: Readonly<Record<string, unknown>>, call: ToolCall): Promise<ToolResult> {
  const range = textOf(args, "view_range");
  const found = await call.sandbox.readFile(path, { maxBytes: MAX_FILE_BYTES });
  if (found.type === "directory") {
    if (range !== undefined)
      return refusal("The `view_range` parameter is not allowed when `path` points to a directory.", call);
    return answer(await listing(call.sandbox, path, Buffer.from(found.data).toString()), call);
  }
  const file = asText(path, found);
  if ("problem" in file) return refusal(file.problem, call);
  const lines = file.text.split("\n");
  const wanted = range === undefined ? { first: 1, last: lines.length } : readRange(range, lines.length);
  if ("problem" in wanted) return refusal(wanted.problem, call);
  const shown = numbered(lines.slice(wanted.first - 1, wanted.last), wanted.first, path);
  const head = clipped(shown, Math.max(call.outputBytes - CLIPPED.length, call.outputBytes >> 1));
  return head === undefined ? answer(shown, call) : { ...answer(head + CLIPPED, call), truncated: true };
}

const CLIPPED =
  "<response clipped><NOTE>To save on context only part of this file has been shown to you. You should retry this tool after you have searched inside the file with `grep -n` in order to find the line numbers of what you are looking for.</NOTE>\n";

async function create(path: string, args: Readonly<Record<string, unknown>>, call: ToolCall): Promise<ToolResult> {
  const text = textOf(args, "file_text");
  if (text === undefined) return refusal("Parameter `file_text` is required for command: create", call);
  const { type } = await call.sandbox.readFile(path, { maxBytes: 1 });
  if (type !== "missing")
    return refusal(`File already exists at: ${path}. Cannot overwrite files using command \`create\`.`, call);
  return save(path, { before: null, after: text, said: `File created successfully at: ${path}\n` }, call);
}

async function replace(path: string, args: Readonly<Record<string, unknown>>, call: ToolCall): Promise<ToolResult> {
  const [wanted, text = ""] = [textOf(args, "old_str"), textOf(args, "new_str")];
  if (!wanted) return refusal("Parameter `old_str` is required for command: str_replace, and must not be empty", call);
  const file = await readText(path, call);
  if ("problem" in file) return refusal(file.problem, call);
  const [at, ...more] = occurrences(file.text, wanted);
  if (at === undefined)
    return refusal(`No replacement was performed, old_str \`${wanted}\` did not appear verbatim in ${path}.`, call);
  if (more.length > 0) {
    const places = [at, ...more].slice(0, 50).map((offset) => lineOf(file.text, offset));
    const lines = [...new Set(places)].join(", ");
    return refusal(
      `No replacement was performed. Multiple occurrences of old_str \`${wanted}\` in lines [${lines}]. Please ensure it is unique`,
      call,
    );
  }
  if (wanted === text)
    return refusal(`No replacement was performed, old_str \`${wanted}\` is the same as new_str.`, call);
  const after = file.text.slice(0, at) + text + file.text.slice(at + wanted.length);
  const line = lineOf(file.text, at);
  const said = edited(path, after, { first: line - AROUND, last: line + AROUND + newlines(text) }, "as expected");
  return save(path, { before: file.bytes, after, said }, call);
}

async function insert(path: string, args: Readonly<Record<string, unknown>>, call: ToolCall): Promise<ToolResult> {
  const [line, text] = [args["insert_line"], textOf(args, "new_str")];
  if (typeof line !== "number") return refusal("Parameter `insert_line` is required for command: insert", call);
  if (text === undefined) return refusal("Parameter `new_str` is required for command: insert", call);
  const file = await readText(path, call);
  if ("problem" in file) return refusal(file.problem, call);
  const lines = file.text.split("\n");
  if (line < 0 || line > lines.length)
    return refusal(
      `Invalid \`insert_line\` parameter: ${line}. It should be within the range of lines of the file: [0, ${lines.length}]`,
      call,
    );
  const fresh = text.split("\n");
  const after = [...lines.slice(0, line), ...fresh, ...lines.slice(line)].join("\n");
  const range = { first: line - AROUND + 1, last: line + fresh.length + AROUND };
  const expectation = "as expected (correct indentation, no duplicate lines, etc)";
  return save(path, { before: file.bytes, after, said: edited(path, after, range, expectation) }, call);
}

async function undo(path: string, _args: unknown, call: ToolCall): Promise<ToolResult> {
  const last = recall(call.state, path);
  if (!last) return refusal(`No edit history found for ${path}.`, call);
  if (last.before === null) {
    const { exitCode } = await call.sandbox.exec(["rm", "-f", "--", path], { timeoutMs: 10_000 });
    if (exitCode !== 0) return refusal(`The file ${path} could not be removed.`, call);
    return answer(`Last edit to ${path} undone successfully: the file was removed again.\n`, {
      ...call,
      state: last.state,
    });
  }
  const { failure } = await call.sandbox.writeFile(path, last.before);
  if (failure !== undefined) return refusal(`The file ${path} could not be written: ${failure}`, call);
  const text = numbered(last.before.toString().split("\n"), 1, path);
  return answer(`Last edit to ${path} undone successfully. ${text}`, { ...call, state: last.state });
}

interface Change {
  readonly before: Buffer | null;
  readonly after: string;
  readonly said: string;
}

async function save(path: string, { before, after, said }: Change, call: ToolCall): Promise<ToolResult> {
  const bytes = Buffer.from(after);
  if (bytes.length > MAX_FILE_BYTES) return refusal(tooLarge(path, bytes.length), call);
  const { failure } = await call.sandbox.writeFile(path, bytes);
  if (failure !== undefined) return refusal(`The file ${path} could not be written: ${failure}`, call);
  return answer(said, { ...call, state: remember(call.state, path, before) });
}

function edited(
  path: string,
  after: string,
  { first, last }: { readonly first: number; readonly last: number },
  expectation: string,
): string {
  const begin = Math.max(1, first);
  const snippet = numbered(after.split("\n").slice(begin - 1, last), begin, `a snippet of ${path}`);
  return `The file ${path} has been edited. ${snippet}Review the changes and make sure they are ${expectation}. Edit the file again if necessary.\n`;
}

type FileText = { readonly text: string; readonly bytes: Buffer } | { readonly problem: string };

async function readText(path: string, { sandbox }: ToolCall): Promise<FileText> {
  return asText(path, await sandbox.readFile(path, { maxBytes: MAX_FILE_BYTES }));
}

function asText(
  path: string,
  { type, sizeBytes, data }: Awaited<ReturnType<ToolCall["sandbox"]["readFile"]>>,
): FileText {
  const bytes = Buffer.from(data);
  if (type === "missing") return { problem: `The path ${path} does not exist. Please provide a valid path.` };
  if (type === "denied") return { problem: `The path ${path} cannot be read: permission denied.` };
  if (type === "other") return { problem: `The path ${path} is no regular file (a device, FIFO or socket).` };
  if (type === "directory")
    return { problem: `The path ${path} is a directory and only the \`view\` command can be used on directories` };
  if (sizeBytes > MAX_FILE_BYTES) return { problem: tooLarge(path, sizeBytes) };
  if (!isUtf8(bytes) || bytes.includes(0)) return { problem: `The file ${path} is no UTF-8 text: use bash for it.` };
  return { text: bytes.toString(), bytes };
}

function tooLarge(path: string, bytes: number): string {
  return `The file ${path} has ${bytes} bytes, and this tool takes at most ${MAX_FILE_BYTES}: use bash for it.`;
}

function newlines(text: string): number {
  return text.split("\n").length - 1;
}

function textOf(args: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = args[name];
  return typeof value === "string" ? value : undefined;
}

import { refusal } from "../refusal.ts";
import { showOutput } from "../text.ts";
import type { Tool, ToolResult } from "../tool.ts";

/** Beyond so many files a list helps nobody. */
const MAX_FILES = 100;

/** R2E-Gym's `search`: where a text stands, by file below a folder, or by line in a file. The text is no pattern; hidden files and what is binary are passed over. */
export const search: Tool = {
  schema: {
    type: "function",
    function: {
      name: "search",
      description:
        "Searches for a text. In a folder it lists the files that hold it, with the number of lines; in a file the lines themselves, with their numbers. Case counts; hidden files are passed over.",
      parameters: {
        type: "object",
        properties: {
          search_term: { type: "string", description: "The text to search for, on one line." },
          path: { type: "string", description: "File or folder; default: the repository." },
        },
        required: ["search_term"],
      },
    },
  },
  async run(args, call): Promise<ToolResult> {
    const term = String(args["search_term"]);
    if (term === "") return refusal("Parameter `search_term` is empty.", call);
    const { sandbox, timeoutMs, outputBytes, state } = call;
    const result = await sandbox.exec(
      ["sh", "-c", SCRIPT, "search", String(args["path"] ?? "."), term, `${MAX_FILES}`],
      {
        timeoutMs,
        keepBytes: 2 * outputBytes,
      },
    );
    const { text, cut } = showOutput(result.output, result.outputBytes, { limitBytes: outputBytes });
    const { output, durationMs: commandMs, oomKills } = result;
    return {
      kind: result.timedOut ? "TIMED_OUT" : result.exitCode === 2 ? "TOOL_ERROR" : "OK",
      text: result.timedOut ? `${text}[the search took longer than ${timeoutMs / 1000} s]` : text,
      ...{ state, output, commandMs, oomKills, outputBytes: result.outputBytes, truncated: cut },
    };
  },
};

/** Exit code 2: there is nothing to search in. */
const SCRIPT = `
if [ -f "$1" ]; then
  echo "Lines with \\"$2\\" in $1:"
  grep -naF -e "$2" -- "$1" || echo "(none)"
  exit 0
fi
[ -d "$1" ] || { echo "There is no file or folder $1."; exit 2; }
found=$(grep -rcIsF --exclude='.*' --exclude-dir='.?*' -e "$2" -- "$1" | grep -v ':0$' | sort)
[ -n "$found" ] || { echo "No file in $1 holds \\"$2\\"."; exit 0; }
count=$(printf '%s\\n' "$found" | wc -l)
[ "$count" -le "$3" ] || { echo "$count files in $1 hold \\"$2\\": search for something rarer, or in a folder below."; exit 0; }
echo "Files in $1 with \\"$2\\", and in how many lines:"
printf '%s\\n' "$found" | sed 's/:\\([0-9]*\\)$/ (\\1)/'
`;

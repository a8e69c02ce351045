import type { OfficialRule } from "../verdict/official/repositories.ts";

/** The official evaluation script as a release of swebench runs it (5.0.2: swebench/harness/utils.py, swebench/types.py; 4.1.0: swebench/harness/test_spec). */

const HEADER = ["#!/bin/bash", "set -uxo pipefail"];
export const START_TEST_OUTPUT = ">>>>> Start Test Output";
export const END_TEST_OUTPUT = ">>>>> End Test Output";

/**
 * `TestSpec.eval_script` of a row: `parse_eval_script`, then `record_test_exit_code`, then the two header lines in front. Every run of 5.0.2 does both, and its rule reads the exit code
 * that the second one makes the script print; 4.1.0 knows nothing of it.
 */
export function officialScript(evalScript: string, rule: OfficialRule = "swebench@5.0.2"): string {
  // A script that 4.1.0 made may end in a blank.
  const lines =
    rule === "swebench@4.1.0"
      ? withoutHeader(evalScript.replace(/\n+$/, ""))
      : recordTestExitCode(withoutHeader(pythonStrip(evalScript)));
  return `${[...HEADER, ...lines].join("\n")}\n`;
}

function withoutHeader(script: string): string[] {
  return script.split("\n").filter((line) => !HEADER.includes(line));
}

/** Only the first line that holds the end marker counts, even inside a here-document; without one the script stays as it is. */
function recordTestExitCode(lines: readonly string[]): readonly string[] {
  const end = lines.findIndex((line) => line.includes(END_TEST_OUTPUT));
  const marker = lines[end];
  if (marker === undefined) return lines;
  return [
    ...lines.slice(0, end),
    "SWEBENCH_TEST_EXIT_CODE=$?",
    marker,
    'echo ">>>>> Test Exit Code: $SWEBENCH_TEST_EXIT_CODE"',
    ...lines.slice(end + 1),
  ];
}

/** `str.strip()`: its white space differs from that of `String.prototype.trim`. */
function pythonStrip(text: string): string {
  const space = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
  return text.replace(new RegExp(`^${space}+`), "").replace(new RegExp(`${space}+$`), "");
}

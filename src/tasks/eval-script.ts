/** The official evaluation script as swebench 5.0.2 runs it (swebench/harness/utils.py, swebench/types.py). */

const HEADER = ["#!/bin/bash", "set -uxo pipefail"];
export const START_TEST_OUTPUT = ">>>>> Start Test Output";
export const END_TEST_OUTPUT = ">>>>> End Test Output";

/**
 * `TestSpec.eval_script` of a row: `parse_eval_script`, then `record_test_exit_code`, then the two header lines in front. Every harness run does both, and the rule reads the exit code
 * that the second one makes the script print.
 */
export function officialScript(evalScript: string): string {
  return `${[...HEADER, ...recordTestExitCode(parseEvalScript(evalScript))].join("\n")}\n`;
}

function parseEvalScript(evalScript: string): string[] {
  return pythonStrip(evalScript)
    .split("\n")
    .filter((line) => !HEADER.includes(line));
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

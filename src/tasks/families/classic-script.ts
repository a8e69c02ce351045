/** The evaluation scripts of the SWE-bench harness before rows held theirs, and of the harnesses that were made from it. */

export interface ClassicScript {
  /** After `set`; the official ones differ. */
  readonly shell: "-uxo pipefail" | "-xo pipefail";
  readonly baseCommit: string;
  readonly testPatch: string;
  /** Files that get their content of the base commit back, before and after. */
  readonly resetFiles: readonly string[];
  readonly evalCommands: readonly string[];
  readonly install: string;
  readonly testCommand: string;
  /** `git diff` as the harness prints it. */
  readonly diff: string;
  /** The lines around the tests, where the rule wants them. */
  readonly markers: readonly [start: string, end: string] | undefined;
}

const ACTIVATE = ["source /opt/miniconda3/bin/activate", "conda activate testbed"];

/** `make_eval_script_list_py`, byte for byte. */
export function classicScript(options: ClassicScript): string {
  const { shell, baseCommit, testPatch, resetFiles, evalCommands, install, testCommand, diff, markers } = options;
  const reset = `git checkout ${baseCommit} ${resetFiles.join(" ")}`;
  return `${[
    "#!/bin/bash",
    `set ${shell}`,
    ...ACTIVATE,
    "cd /testbed",
    ...evalCommands,
    "git config --global --add safe.directory /testbed",
    "cd /testbed",
    "git status",
    "git show",
    `${diff} ${baseCommit}`,
    ...ACTIVATE,
    ...(install === "" ? [] : [install]),
    reset,
    `git apply -v - <<'EOF_114329324912'\n${testPatch}\nEOF_114329324912`,
    ...(markers ? [`: '${markers[0]}'`, testCommand, `: '${markers[1]}'`] : [testCommand]),
    reset,
  ].join("\n")}\n`;
}

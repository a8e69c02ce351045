import type { SeedStatus } from "./result.ts";

/** The most that each stage, and a run from clone to result, may take. Milliseconds. */
export interface Budgets {
  readonly clone: number;
  readonly install: number;
  readonly patch: number;
  readonly tests: number;
  readonly run: number;
}

export const BUDGETS: Budgets = { clone: 5_000, install: 20_000, patch: 5_000, tests: 5_000, run: 30_000 };

/** Applies the patch in file `$1`; git takes it as a whole or not at all. */
export const APPLY = `git apply --verbose "$1" || patch --batch --forward --fuzz=5 -p1 -i "$1"`;

/** For a Python. Options of the project for plug-ins that are not there (coverage, for one) would end it before a test ran. */
export const PYTEST = ["-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", "-o", "addopts="];

/** `pytest.ExitCode`; any other is `tests_error`. */
export const PYTEST_ENDS: ReadonlyMap<number, SeedStatus> = new Map([
  [0, "passed"],
  [1, "failed"],
  [5, "no_tests"],
]);

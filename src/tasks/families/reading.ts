import type { z } from "zod";
import type { Grader, HiddenFile } from "../task.ts";

/** Programs that call a data set's own parser: they write what it returns as `/reading/out.json`. */

export type ReadingProgram = NonNullable<z.input<typeof Grader>["reading"]>;

export interface ParserCall {
  /** At or below `CODE`. */
  readonly files: readonly z.input<typeof HiddenFile>[];
  /** A module's name. */
  readonly imports: string;
  /** The function: of the module's table of parsers, if it has one with that name, else of the module. */
  readonly name: string;
  readonly table?: string;
}

/** Runs with the log in UTF-8 as Python reads it in text mode. Exit 3: the parser cannot be loaded. */
export function callOf({ files, imports, name, table = "" }: ParserCall): ReadingProgram {
  return {
    files: [...files, { path: RUN, text: CALL }],
    argv: ["python3", RUN, CODE, imports, name, `table:${table}`],
  };
}

/** The same for a parser that is the text of a program with a function `parser`. */
export function sourceCall(text: string, form: "map" | "lists" = "map"): ReadingProgram {
  const files = [{ path: `${CODE}/row_parser.py`, text }];
  const { argv, ...rest } = callOf({ files, imports: "row_parser", name: "parser" });
  return { ...rest, argv: [...argv, form] };
}

const RUN = "/reading/run.py";
/** Where modules are looked up. */
export const CODE = "/reading/code";

const CALL = `import importlib, json, pathlib, sys

here = pathlib.Path(__file__).resolve().parent
code, imports, name, table, *form = sys.argv[1:]
sys.path.insert(0, code)
try:
    module = importlib.import_module(imports)
    parse = getattr(module, table[len("table:") :], {}).get(name)
    parse = parse or getattr(module, name)
except BaseException as problem:
    print(f"{type(problem).__name__}: {problem}")
    sys.exit(3)
log = (here / "in/0").read_text(encoding="utf-8", errors="replace")
read = {str(test): str(getattr(status, "value", status)) for test, status in (parse(log) or {}).items()}
if form == ["lists"]:
    read = {f"{key}_tests": [test for test, status in read.items() if status == word] for key, word in (("passed", "PASS"), ("failed", "FAIL"), ("skipped", "SKIP"))}
(here / "out.json").write_text(json.dumps(read), encoding="utf-8", errors="surrogatepass")
`;

/** Calls the class of a repository in Multi-SWE-bench's harness, a folder that has the package `multi_swe_bench` and all that it imports. */
export function multiSweCall(
  harness: string,
  request: Readonly<Record<"org" | "repo" | "tag" | "number_interval", string>> & { readonly number: number },
): ReadingProgram {
  const files = [
    { path: CODE, from: harness },
    { path: RUN, text: CALL_MULTI_SWE },
  ];
  return { files, argv: ["python3", RUN, CODE, JSON.stringify(request)] };
}

const CALL_MULTI_SWE = `import json, pathlib, sys

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, sys.argv[1])
try:
    import multi_swe_bench.harness.repos
    from multi_swe_bench.harness.image import Config
    from multi_swe_bench.harness.instance import Instance
    from multi_swe_bench.harness.pull_request import Base, PullRequest

    base = Base(label="", ref="", sha="")
    rest = dict(state="", title="", body="", base=base, resolved_issues=[], fix_patch="", test_patch="")
    request = PullRequest(**json.loads(sys.argv[2]), **rest)
    instance = Instance.create(request, Config(need_clone=False, global_env=None, clear_env=False))
except BaseException as problem:
    print(f"{type(problem).__name__}: {problem}")
    sys.exit(3)
log = (here / "in/0").read_text(encoding="utf-8", errors="replace")
read = instance.parse_log(log)
lists = {name: sorted(getattr(read, name)) for name in ("passed_tests", "failed_tests", "skipped_tests")}
(here / "out.json").write_text(json.dumps(lists), encoding="utf-8")
`;

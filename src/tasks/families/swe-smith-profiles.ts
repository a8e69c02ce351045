/** How the tests of SWE-smith's Python repositories are run and read: its profiles at 3a7c6bb (`swesmith/profiles/python.py`). */

export interface Profile {
  /** Undefined: the profile's own command is not complete. */
  readonly command: string | undefined;
  /** A name of the rule's parser table. */
  readonly parser: string;
  /** The files of the expected tests, which are put back after a submission was applied. */
  readonly files: readonly string[];
}

interface Tests {
  readonly failToPass: readonly string[];
  readonly passToPass: readonly string[];
}

const ACTIVATE = "source /opt/miniconda3/bin/activate; conda activate testbed; ";
const PYTEST = `${ACTIVATE}pytest --disable-warnings --color=no --tb=no --verbose`;

/** By `owner__name`. */
const COMMANDS: ReadonlyMap<string, string> = new Map([
  ["tkrajina__gpxpy", `${ACTIVATE}pytest test.py --verbose --color=no --tb=no --disable-warnings`],
  ["mido__mido", `${PYTEST} -rs -c /dev/null`],
  ["paramiko__paramiko", `${ACTIVATE}pytest -rA --color=no --disable-warnings`],
  ["un33k__python-slugify", `${ACTIVATE}python test.py --verbose`],
  ["tornadoweb__tornado", `${ACTIVATE}python -m tornado.test --verbose`],
  ["pydantic__pydantic", "/root/.local/bin/uv run pytest --disable-warnings --color=no --tb=no --verbose"],
]);

const PARSERS: ReadonlyMap<string, string> = new Map([
  ["HIPS__autograd", "pytest_workers"],
  ["paramiko__paramiko", "pytest_summary"],
  ["un33k__python-slugify", "unittest_one_line"],
  ["tornadoweb__tornado", "tornado"],
]);

/** `min_testing`: the command gets the files of the expected tests, not the whole suite. */
const ONLY_EXPECTED = new Set([
  "scrapy__scrapy",
  "sqlfluff__sqlfluff",
  "tobymao__sqlglot",
  "sunpy__sunpy",
  "sympy__sympy",
  "getmoto__moto",
  "Project-MONAI__MONAI",
  "iterative__dvc",
  "dask__dask",
  "modin-project__modin",
  "conan-io__conan",
  "pandas-dev__pandas",
]);

/** Its command wants an argument that the rows do not have. */
const INCOMPLETE = new Set(["python__mypy"]);

/** Undefined for what is not known to be Python: other languages have a profile for each repository. */
export function profileOf(instanceId: string, tests: Tests): Profile | undefined {
  const name = instanceId.split(".")[0] ?? "";
  const own = OWN_FILES.get(name);
  const isPython = own !== undefined || tests.failToPass.every((test) => /\.py($|::)/.test(test));
  if (!isPython) return undefined;
  const [first, second] = (own ?? byPath)(tests);
  const command = COMMANDS.get(name) ?? PYTEST;
  const given = ONLY_EXPECTED.has(name) ? [command, ...first, ...second].join(" ") : command;
  return {
    command: INCOMPLETE.has(name) ? undefined : given,
    parser: PARSERS.get(name) ?? "pytest_verbose",
    files: [...first, ...second],
  };
}

type Files = readonly [failToPass: readonly string[], passToPass: readonly string[]];

const sorted = (paths: readonly string[]): string[] =>
  [...new Set(paths)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
const fileOf = (test: string): string => test.split("::")[0] ?? "";

function byPath({ failToPass, passToPass }: Tests): Files {
  return [sorted(failToPass.map(fileOf)), sorted(passToPass.map(fileOf))];
}

/** The module in the brackets after the name, without its last part. */
function byModule({ failToPass, passToPass }: Tests): Files {
  const files = (tests: readonly string[]): string[] =>
    tests.flatMap((test) => {
      const module = /\s\((.*)\)/.exec(test)?.[1];
      return module === undefined ? [] : [`${module.split(".").slice(0, -1).join("/")}.py`];
    });
  return [sorted(files(failToPass)), sorted(files(passToPass))];
}

const OWN_FILES: ReadonlyMap<string, (tests: Tests) => Files> = new Map<string, (tests: Tests) => Files>([
  ["un33k__python-slugify", () => [["test.py"], ["test.py"]]],
  ["tornadoweb__tornado", byModule],
  [
    "mido__mido",
    (tests) => {
      const [first, second] = byPath(tests);
      const inner = (paths: readonly string[]) => sorted(paths.map((path) => path.replace(/^\.\.\/dev\//, "")));
      return [inner(first), inner(second)];
    },
  ],
  ["python__mypy", byPath],
]);

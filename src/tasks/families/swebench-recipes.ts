/** How the tests of the Python repositories of SWE-bench are run: the constants of swebench 4.1.0, for rows that do not hold a script. */

export interface Recipe {
  readonly testCommand: string;
  readonly install: string;
  readonly evalCommands: readonly string[];
}

interface Repository extends Recipe {
  /** A name of the parser table. */
  readonly parser: string;
  /** What differs, by version. */
  readonly except?: readonly (readonly [versions: string, Partial<Recipe>])[];
}

const EDITABLE = { testCommand: "pytest -rA", install: "python -m pip install -e .", evalCommands: [] } as const;
const pytest = (changes: Partial<Repository> = {}): Repository => ({
  ...EDITABLE,
  parser: "parse_log_pytest",
  ...changes,
});

const DJANGO_LOCALE = [
  "export LANG=en_US.UTF-8",
  "export LC_ALL=en_US.UTF-8",
  "export PYTHONIOENCODING=utf8",
  "export LANGUAGE=en_US:en",
];
const DJANGO_LOCALE_3 = [
  "sed -i '/en_US.UTF-8/s/^# //g' /etc/locale.gen && locale-gen",
  "export LANG=en_US.UTF-8",
  "export LANGUAGE=en_US:en",
  "export LC_ALL=en_US.UTF-8",
];
const SETUP = "python setup.py install";

const REPOSITORIES: ReadonlyMap<string, Repository> = new Map([
  [
    "astropy/astropy",
    pytest({
      parser: "parse_log_pytest_v2",
      install: "python -m pip install -e .[test] --verbose",
      except: [
        ["0.1 0.2 0.3 0.4 1.1 1.2 1.3", { testCommand: "pytest -rA -vv -o console_output_style=classic --tb=no" }],
      ],
    }),
  ],
  [
    "django/django",
    pytest({
      parser: "parse_log_django",
      testCommand: "./tests/runtests.py --verbosity 2 --settings=test_sqlite --parallel 1",
      except: [
        ["1.4 1.5 1.6", { install: SETUP }],
        ["1.7 1.8 1.10 1.11 2.0 2.1 2.2", { install: SETUP, evalCommands: DJANGO_LOCALE }],
        ["1.9", { install: SETUP, evalCommands: DJANGO_LOCALE, testCommand: "./tests/runtests.py --verbosity 2" }],
        ["3.0 3.1 3.2", { evalCommands: DJANGO_LOCALE_3 }],
      ],
    }),
  ],
  ["marshmallow-code/marshmallow", pytest({ install: "python -m pip install -e '.[dev]'" })],
  [
    "matplotlib/matplotlib",
    pytest({
      parser: "parse_log_matplotlib",
      except: [
        ["3.8 3.9", { install: 'python -m pip install --no-build-isolation -e ".[dev]"' }],
        ["1.0 1.1 1.2 1.3 1.4 1.5 2.0 2.1 2.2", { install: "python setup.py build; python setup.py install" }],
      ],
    }),
  ],
  [
    "mwaskom/seaborn",
    pytest({
      parser: "parse_log_seaborn",
      testCommand: "pytest --no-header -rA",
      except: [["0.12 0.13 0.14", { install: "python -m pip install -e .[dev]" }]],
    }),
  ],
  ["pallets/flask", pytest()],
  ["psf/requests", pytest({ parser: "parse_log_pytest_options", install: "python -m pip install ." })],
  ["pvlib/pvlib-python", pytest({ install: "python -m pip install -e .[all]" })],
  ["pydata/xarray", pytest()],
  ["pydicom/pydicom", pytest({ parser: "parse_log_pytest_options" })],
  ["pylint-dev/astroid", pytest()],
  ["pylint-dev/pylint", pytest({ parser: "parse_log_pytest_options" })],
  ["pytest-dev/pytest", pytest()],
  ["pyvista/pyvista", pytest()],
  [
    "scikit-learn/scikit-learn",
    pytest({
      parser: "parse_log_pytest_v2",
      install: "python -m pip install -v --no-use-pep517 --no-build-isolation -e .",
    }),
  ],
  [
    "sphinx-doc/sphinx",
    pytest({
      parser: "parse_log_pytest_v2",
      testCommand: "tox --current-env -epy39 -v --",
      install: "python -m pip install -e .[test]",
    }),
  ],
  ["sqlfluff/sqlfluff", pytest()],
  [
    "sympy/sympy",
    pytest({
      parser: "parse_log_sympy",
      testCommand: "PYTHONWARNINGS='ignore::UserWarning,ignore::SyntaxWarning' bin/test -C --verbose",
    }),
  ],
]);

export const CLASSIC_REPOSITORIES: readonly string[] = [...REPOSITORIES.keys()];

/** Undefined: the constants do not know the repository. */
export function swebenchRecipe(repo: string, version: string): (Recipe & { readonly parser: string }) | undefined {
  const known = REPOSITORIES.get(repo);
  if (known === undefined) return undefined;
  const { except = [], ...rest } = known;
  const different = except.find(([versions]) => versions.split(" ").includes(version))?.[1];
  return { ...rest, ...different };
}

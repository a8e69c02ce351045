import type { Recipe } from "./swebench-recipes.ts";

/** How the tests of SWE-Gym's repositories are run: its constants at 16dd480, by repository in lower case. */

interface Repository extends Recipe {
  readonly parser: string;
  readonly except?: readonly (readonly [versions: string, Partial<Recipe>])[];
}

const plain = (testCommand: string, install: string, more: Partial<Repository> = {}): Repository => ({
  ...{ testCommand, install, evalCommands: [], parser: "parse_log_pytest" },
  ...more,
});

const MYPY = "python -m pip install -r test-requirements.txt; python -m pip install -e .; ";
const CONAN = ["requirements", "requirements_server", "requirements_dev"]
  .map((name) => `python -m pip install -r conans/${name}.txt`)
  .join("; ");
const PANDAS = "python -m pip install -ve . --no-build-isolation -Ceditable-verbose=true; pip uninstall pytest-qt -y;";
const DVC = [
  "python -m pip install --upgrade pip wheel GitPython;",
  'python -m pip install "cython<3.0.0" && python -m pip install --no-build-isolation pyyaml==5.4.1;',
  "python -m pip install git+https://github.com/iterative/mock-ssh-server.git || true;",
  "python -m pip install -r tests/requirements.txt || true;",
  "python -m pip install -r test-requirements.txt || true;",
  'python -m pip install -e ".[tests,dev,all_remotes,all,testing]";',
].join(" ");
/** Where isort moved to, and the last pip that reads these requirements. */
const HYDRA_PINS = [
  "sed -i 's|isort@git+git://github.com/timothycrosley/isort|isort@git+https://github.com/timothycrosley/isort|g' requirements/dev.txt;",
  '{ tail -n1 requirements/requirements.txt | grep -q "." && echo ""; } >> requirements/requirements.txt;',
  'echo "pip==24.0" >> requirements/requirements.txt;pip install "pip==24.0"; ',
].join(" ");
const HYDRA = "pip install -r requirements/dev.txt; pip install -e .;";

const REPOSITORIES: ReadonlyMap<string, Repository> = new Map([
  [
    "python/mypy",
    plain("pytest -n0 -rA -k", `${MYPY}hash -r`, {
      except: [
        ["1.7 1.8 1.9 1.10 1.11", { testCommand: "pytest -rA -k" }],
        ["0.940 0.950 0.960 0.970 0.980 0.990", { install: `${MYPY}pip install pytest pytest-xdist; hash -r` }],
        ["0.800 0.810 0.820 0.910 0.920", { install: `${MYPY}pip install pytest pytest-xdist; hash -r;` }],
      ],
    }),
  ],
  ["getmoto/moto", plain("pytest -n0 -rA", "make init")],
  [
    "conan-io/conan",
    plain(
      "pytest -n0 -rA",
      `echo 'cython<3' > /tmp/constraint.txt; export PIP_CONSTRAINT=/tmp/constraint.txt; ${CONAN} `,
      {
        // biome-ignore lint/suspicious/noTemplateCurlyInString: of the shell
        evalCommands: ["export PYTHONPATH=${PYTHONPATH:-}:$(pwd)"],
        except: [["1.60 1.61 1.62 2.1 2.2 2.3 2.4", { install: `${CONAN} ` }]],
      },
    ),
  ],
  ["dask/dask", plain("pytest -n0 -rA  --color=no", "python -m pip install --no-deps -e .")],
  [
    "project-monai/monai",
    plain(
      "pytest -rA ",
      "sed -i '/^git+https:\\/\\/github.com\\/Project-MONAI\\//d' requirements-dev.txt; python -m pip install types-pkg-resources==0.1.3 pytest; pip install -r requirements-dev.txt;python setup.py develop;",
    ),
  ],
  [
    "iterative/dvc",
    plain("pytest -rA", `${DVC} python -m pip install "numpy<=1.20"; python -m pip install "pytest<8";`, {
      except: [
        [
          "3.4 3.5 3.6 3.10 3.11 3.12 3.13 3.14 3.15 3.17 3.19 3.23 3.24 3.28 3.29 3.36 3.37 3.38 3.43 3.47 3.48 3.49",
          { install: DVC },
        ],
      ],
    }),
  ],
  [
    "bokeh/bokeh",
    plain(
      "pytest -rA -n0",
      'pip install "setuptools<66" "jinja2<3.1"; printf "1\n" | python setup.py develop; bokeh sampledata;',
      {
        except: [
          ["3.0 3.3 3.4 3.5", { install: "python -m pip install -e .; python -m pip install bokeh_sampledata;" }],
        ],
      },
    ),
  ],
  [
    "modin-project/modin",
    plain("pytest -n0 -rA", "python -m pip install -e .;", {
      except: [
        [
          "0.1 0.2 0.3 0.4 0.6 0.8 0.9 0.10 0.11 0.12 0.13 0.14 0.15 0.16 0.17 0.18 0.19",
          { install: "python -m pip install -e .; python -m pip install numpy==1.23.1 protobuf==3.20.1;" },
        ],
      ],
    }),
  ],
  [
    "pydantic/pydantic",
    plain(
      "pytest -rA --tb=short -vv -o console_output_style=classic --no-header",
      'export PATH="$HOME/.local/bin:$PATH"; pdm add pre-commit; make install;',
      { parser: "parse_log_pydantic" },
    ),
  ],
  [
    "pandas-dev/pandas",
    plain("pytest -rA --tb=long", `python -m pip install 'numpy<2'; ${PANDAS}`, {
      except: [["2.2 3.0", { install: PANDAS }]],
    }),
  ],
  [
    "facebookresearch/hydra",
    plain("pytest -rA --tb=long", HYDRA, {
      except: [["0.1 0.9 0.10 0.11 0.12 1.0 1.1 1.2", { install: `${HYDRA_PINS}${HYDRA}` }]],
    }),
  ],
]);

export const SWE_GYM_REPOSITORIES: readonly string[] = [...REPOSITORIES.keys()];

/** Undefined: the constants do not know the repository. */
export function sweGymRecipe(repo: string, version: string): (Recipe & { readonly parser: string }) | undefined {
  const known = REPOSITORIES.get(repo.toLowerCase());
  if (known === undefined) return undefined;
  const { except = [], ...rest } = known;
  const different = except.find(([versions]) => versions.split(" ").includes(version))?.[1];
  return { ...rest, ...different };
}

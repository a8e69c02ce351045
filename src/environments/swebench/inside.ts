/** Files and scripts that a preparation puts into, or runs in, a builder sandbox. */

export const TESTBED = "/opt/miniconda3/envs/testbed";
export const ACTIVATE_PATH = "/opt/miniconda3/bin/activate";

/** Sourced by the official scripts, under `set -u`. */
export const ACTIVATE = `# Gives "conda activate NAME" its usual meaning for the environments under /opt/miniconda3/envs.
conda() {
  case "\${1-}" in
    activate)
      export CONDA_DEFAULT_ENV="\${2-testbed}"
      export CONDA_PREFIX="/opt/miniconda3/envs/$CONDA_DEFAULT_ENV"
      export PATH="$CONDA_PREFIX/bin:$PATH"
      ;;
    deactivate) ;;
    *)
      echo "conda \${1-}: only activate and deactivate work here" >&2
      return 1
      ;;
  esac
}
`;

/** Stands in for the system's package manager, which a builder sandbox does not have: what the system lacks stays lacking, and is named. */
export const PACKAGE_MANAGER = `#!/bin/sh
echo "note: not run while preparing: \${0##*/} $*" >&2
`;

/** Where the locales of an environment lie: /usr may be the host's own, read-only. The C library is told by LOCPATH. */
export const LOCALES = `${TESTBED}/share/locales`;

/** Makes the locales that /etc/locale.gen and its arguments ask for, once; asked again (the official scripts do) it does nothing. */
export const LOCALE_GEN = `#!/bin/sh
wanted=$(grep -v '^ *#' /etc/locale.gen 2>/dev/null | cut -d' ' -f1)
mkdir -p ${LOCALES}
for name in C.UTF-8 $wanted "$@"; do
  case $name in -*) continue ;; *.*) ;; *) name=$name.UTF-8 ;; esac
  folder=${LOCALES}/\${name%%.*}.utf8
  [ -d "$folder" ] || localedef -i "\${name%%.*}" -f UTF-8 "$folder" || echo "note: locale $name could not be made" >&2
done
exit 0
`;

/** Prints, one a line, the build requirements of the project in the working directory whose distributions are not installed. */
export const BUILD_REQUIREMENTS = `
import os, re, sys
try:
    import setuptools  # Before anything imports distutils: newer ones replace it.
except ImportError:
    pass
sys.path.insert(0, os.getcwd())
try:
    import tomllib as toml
except ImportError:
    try:
        from pip._vendor import tomli as toml
    except ImportError:
        from pip._vendor import toml
try:
    with open("pyproject.toml", "rb") as file:
        system = toml.loads(file.read().decode("utf-8")).get("build-system", {})
except Exception:
    system = {}
wanted = list(system.get("requires", []))
try:
    name, _, attribute = system.get("build-backend", "setuptools.build_meta:__legacy__").partition(":")
    sys.path[:0] = system.get("backend-path", [])
    out, sys.stdout = sys.stdout, sys.stderr
    backend = __import__(name, fromlist=["_"])
    for part in filter(None, attribute.split(".")):
        backend = getattr(backend, part)
    for hook in ("get_requires_for_build_wheel", "get_requires_for_build_editable"):
        if hasattr(backend, hook):
            wanted += getattr(backend, hook)({})
except BaseException as problem:
    sys.stderr.write("note: the build hooks could not be asked: %r\\n" % (problem,))
finally:
    sys.stdout = out
try:
    from importlib.metadata import distributions
    have = [found.metadata["Name"] for found in distributions()]
except ImportError:
    import pkg_resources
    have = [found.project_name for found in pkg_resources.working_set]
flat = lambda name: re.sub(r"[-_.]+", "-", name).lower()
have = {flat(name) for name in have if name}
for requirement in wanted:
    if flat(re.split(r"[^\\w.-]", requirement.strip(), maxsplit=1)[0]) not in have:
        print(requirement)
`;

/** How the environment is at every run: no index, no isolated builds (which would need one), as \`conda activate testbed\` leaves it. */
export const OFFLINE = {
  PIP_NO_INDEX: "1",
  PIP_CONFIG_FILE: "/dev/null",
  PIP_DISABLE_PIP_VERSION_CHECK: "1",
  // pip reads the value of a "no" option as the option's own: 0 switches isolation off.
  PIP_NO_BUILD_ISOLATION: "0",
  PIP_ROOT_USER_ACTION: "ignore",
} as const;

/** pip, setuptools and wheel as the official environments have them, per minor version of Python. */
export function seedPackages(python: string): readonly string[] {
  const [major = 3, minor = 0] = python.split(".").map(Number);
  const [pip, setuptools, wheel] = seedVersions(major, minor);
  return [`pip==${pip}`, `setuptools==${setuptools}`, `wheel==${wheel}`];
}

function seedVersions(major: number, minor: number): readonly [string, string, string] {
  if (major < 3) return ["19.3.1", "44.1.1", "0.37.1"];
  if (minor <= 5) return ["10.0.1", "40.2.0", "0.37.1"];
  if (minor === 6) return ["21.2.2", "58.0.4", "0.37.1"];
  if (minor === 7) return ["22.3.1", "65.6.3", "0.38.4"];
  return ["24.2", "75.1.0", "0.44.0"];
}

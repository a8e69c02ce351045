import { join } from "node:path";
import { SandlotError } from "../../errors.ts";
import type { Bind } from "../../sandbox/sandbox.ts";
import { type Builder, type BuildSpec, build, type Watch } from "../builder.ts";
import { interpreterIdentity } from "../interpreter-layer.ts";
import { type Interpreter, isSystem } from "../interpreters.ts";
import {
  type Built,
  checkoutLayer,
  hostEnv,
  interpreterLayer,
  type Means,
  type SiteWithClone,
  sealIn,
  sharedLayer,
} from "../layers.ts";
import type { Recipe } from "../recipe.ts";
import { BASE_PATH } from "../requirements.ts";
import {
  ACTIVATE,
  ACTIVATE_PATH,
  BUILD_REQUIREMENTS,
  LOCALE_GEN,
  LOCALES,
  OFFLINE,
  PACKAGE_MANAGER,
  seedPackages,
  TESTBED,
} from "./inside.ts";
import { type PipAccess, pipAccess } from "./package-index.ts";
import { daysOfPackages, PackagesOfDay } from "./packages-of-day.ts";
import { interpreterFor, readSpec, type Spec, withPip } from "./tools.ts";

/**
 * The environment of a SWE-bench row without its image: what the official specification of its repository and version says, done in
 * layers: interpreter, packages (both shared by all rows with the same ones), repository, installation. The row's official
 * evaluation script then runs unmodified and offline.
 */
export async function makeSwebench(means: Means, recipe: Recipe, site: SiteWithClone, watch: Watch): Promise<Built> {
  const { setup } = recipe;
  if (setup.type !== "swebench") throw new Error(`set-up ${setup.type} is not of swebench`);
  if (!means.workshop.backend.capabilities.isolation) {
    throw new SandlotError(
      "unsupported",
      "swebench environments need a backend whose sandboxes have a root of their own",
      { knob: "backend.type" },
    );
  }
  watch.report({ stage: "packages", message: "reading the specification" });
  const spec = await readSpec(means, { setup, clone: site.clone, commit: recipe.baseCommit }, watch);
  const interpreter = interpreterFor(spec, means.interpreters);
  const pip = await pipAccess(withPip(means), means.packageIndex, watch.signal);
  const date = await means.git.run(["-C", site.clone, "show", "--no-patch", "--format=%cs", recipe.baseCommit]);
  const order: Order = { recipe, spec, interpreter, pip, days: daysOfPackages(date.trim()) };

  const below = [
    ...(isSystem(interpreter) ? [] : [await interpreterLayer(means, { interpreter, at: TESTBED }, site, watch)]),
  ];
  const packages = await packagesLayer(means, order, site, { ...watch, below });
  const repository = await checkoutLayer(means, recipe, site, watch);
  const layers = [...below, packages, repository];
  const target = join(site.folder, "installed");
  const sealed = await install(means, order, { layers, target }, watch);
  const binds = site.toolchains.flatMap((one): readonly Bind[] => (one.bind ? [one.bind] : []));
  const locales = localeLines(spec).length > 0 ? { LOCPATH: LOCALES } : {};
  const { baseCommit } = recipe;
  return {
    layers: [...layers, target],
    binds,
    env: { ...runEnv(), ...locales, ...recipe.env },
    baseCommit,
    seal: sealed,
  };
}

interface Order {
  readonly recipe: Recipe;
  readonly spec: Spec;
  readonly interpreter: Interpreter;
  readonly pip: PipAccess;
  /** Packages are those of one of these days. */
  readonly days: readonly string[];
}

/** As \`conda activate testbed\` leaves it, without an index. */
function runEnv(): Record<string, string> {
  const activated = { CONDA_DEFAULT_ENV: "testbed", CONDA_PREFIX: TESTBED };
  return { ...hostEnv(`${TESTBED}/bin:${BASE_PATH}`), ...activated, ...OFFLINE };
}

function buildEnv(pip: PipAccess): Record<string, string> {
  const quiet = {
    PIP_CACHE_DIR: "/tmp/pip-cache",
    PIP_DISABLE_PIP_VERSION_CHECK: "1",
    PIP_ROOT_USER_ACTION: "ignore",
    PIP_NO_INPUT: "1",
  };
  const activated = { CONDA_DEFAULT_ENV: "testbed", CONDA_PREFIX: TESTBED };
  return { ...hostEnv(`${SHIMS}:${TESTBED}/bin:${BASE_PATH}`), ...activated, ...quiet, ...pip.env };
}

const SHIMS = "/tmp/sandlot-shims";
const CLEAN = "rm -rf /root/.cache /tmp/* /tmp/.[!.]*";

async function packagesLayer(
  means: Means,
  order: Order,
  site: SiteWithClone,
  watch: Watch & { readonly below: readonly string[] },
): Promise<string> {
  const { spec, interpreter, pip, recipe } = order;
  const { requirements, lenient, pip_packages } = spec;
  const locales = localeLines(spec);
  const identity = [
    "swebench packages 1",
    order.days,
    site.rootfsDigest,
    interpreterIdentity(interpreter, TESTBED),
    requirements,
    lenient,
    pip_packages,
    locales,
  ];
  return sharedLayer(means, identity, site, watch, async (target, inner) => {
    const spec: BuildSpec = {
      rootfs: recipe.rootfs,
      layers: watch.below,
      binds: pip.binds,
      workdir: "/",
      env: buildEnv(pip),
      network: "host",
      target,
    };
    await build(means.workshop, spec, inner, async (builder) => {
      inner.report({ stage: "packages", message: `installing the packages for Python ${interpreter.version}` });
      await seed(builder, interpreter);
      if (locales.length > 0) await prepareLocales(builder, locales);
      await installPackages(builder, order.spec, await PackagesOfDay.open(builder, order.days, pip));
      await builder.run("packages", CLEAN);
    });
  });
}

/** The official commands that ask for a locale. */
function localeLines({ pre_install, eval_commands }: Spec): readonly string[] {
  return [...pre_install, ...eval_commands].filter((line) => line.includes("locale"));
}

async function seed(builder: Builder, interpreter: Interpreter): Promise<void> {
  await builder.writeFile(ACTIVATE_PATH, ACTIVATE);
  if (isSystem(interpreter)) await builder.run("packages", `${interpreter.executable} -m venv --copies ${TESTBED}`);
  else await builder.run("packages", "python -m ensurepip");
  await builder.run("packages", `python -m pip install ${seedPackages(interpreter.version).join(" ")}`);
}

async function prepareLocales(builder: Builder, lines: readonly string[]): Promise<void> {
  await builder.writeFile(`${TESTBED}/bin/locale-gen`, LOCALE_GEN, 0o755);
  await builder.writeFile("/etc/locale.gen", "# en_US.UTF-8 UTF-8\n");
  await shims(builder);
  for (const line of lines) await builder.run("packages", `{ ${line}\n} || true`);
}

async function shims(builder: Builder): Promise<void> {
  for (const name of ["apt-get", "apt", "sudo"]) await builder.writeFile(`${SHIMS}/${name}`, PACKAGE_MANAGER, 0o755);
}

/** Requirements that come from a repository of somebody's (git+https) where that cannot be reached: left out, by name in the log. */
const WITHOUT_FOREIGN = `
  foreign='(^|@ *|-e *)(git|hg|svn|bzr)[+]' &&
  grep -qE "$foreign" /tmp/requirements.txt &&
  grep -E "$foreign" /tmp/requirements.txt | sed 's/^/note: left out: /' &&
  grep -vE "$foreign" /tmp/requirements.txt > /tmp/reachable.txt &&
  python -m pip install -r /tmp/reachable.txt`;

async function installPackages(builder: Builder, spec: Spec, packages: PackagesOfDay): Promise<void> {
  if (spec.requirements.trim() !== "") {
    await builder.writeFile("/tmp/requirements.txt", spec.requirements);
    await packages.install("packages", `python -m pip install -r /tmp/requirements.txt || { ${WITHOUT_FOREIGN}; }`);
  }
  if (spec.lenient.length > 0) {
    // Some are no Python packages at all, or go by another name: those are left out, by name in the log.
    await builder.writeFile("/tmp/lenient.txt", `${spec.lenient.join("\n")}\n`);
    const oneByOne =
      'while read -r one; do python -m pip install "$one" || echo "note: left out: $one"; done < /tmp/lenient.txt';
    await packages.install("packages", `python -m pip install -r /tmp/lenient.txt || ${oneByOne}`);
  }
  if (spec.pip_packages.length > 0) {
    await packages.install("packages", `python -m pip install ${spec.pip_packages.join(" ")}`);
  }
}

const ACTIVATED = ["set -eo pipefail", `source ${ACTIVATE_PATH}`, "conda activate testbed"];

/** Pre-install, install, build requirements, and once more as the evaluation will do it; then the seal. */
async function install(
  means: Means,
  order: Order,
  place: { readonly layers: readonly string[]; readonly target: string },
  watch: Watch,
): Promise<string> {
  const { recipe, spec, pip } = order;
  const { rootfs, workdir, baseCommit } = recipe;
  let sealed = baseCommit;
  const where: BuildSpec = { rootfs, ...place, binds: pip.binds, workdir, env: buildEnv(pip), network: "host" };
  await build(means.workshop, where, watch, async (builder) => {
    watch.report({ stage: "setup", message: "installing the project" });
    const packages = await PackagesOfDay.open(builder, order.days, pip);
    await shims(builder);
    const within = (lines: readonly string[]): string => [...ACTIVATED, ...lines].join("\n");
    await builder.run("setup", within(spec.pre_install));
    await packages.install("setup", within(spec.install));
    await builder.writeFile("/tmp/build_requirements.py", BUILD_REQUIREMENTS);
    await builder.run("setup", "python /tmp/build_requirements.py > /tmp/wanted");
    await packages.install("setup", "[ ! -s /tmp/wanted ] || python -m pip install -r /tmp/wanted");
    const again = await builder.succeeds("setup", within(spec.install), OFFLINE);
    if (!again) builder.note("setup", "the project cannot be installed again without an index");
    await builder.run("setup", CLEAN);
    sealed = await sealIn(builder, { baseCommit, foreign: false }, watch);
  });
  return sealed;
}

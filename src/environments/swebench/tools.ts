import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { SandlotError } from "../../errors.ts";
import { runOnHost, tail } from "../../host-command.ts";
import type { Shelf } from "../../shelf/shelf.ts";
import type { EnvironmentRecipe } from "../../tasks/task.ts";
import type { Watch } from "../builder.ts";
import { CONFIG_ENV } from "../git.ts";
import { chooseInterpreter, type Interpreter } from "../interpreters.ts";
import type { PackageIndex } from "./package-index.ts";

/** The release whose constants say how the tasks of a repository and version are set up. */
export const SWEBENCH_VERSION = "4.1.0";

export type SwebenchSetup = Extract<EnvironmentRecipe["setup"], { type: "swebench" }>;

const Spec = z.strictObject({
  /** Minor version, `3.9`. */
  python: z.string().regex(/^\d+\.\d+/),
  /** A requirements file's text. */
  requirements: z.string(),
  /** Requirements of a conda environment: some are no Python packages. */
  lenient: z.array(z.string()),
  /** As the shell words they are in the official commands. */
  pip_packages: z.array(z.string()),
  pre_install: z.array(z.string()),
  install: z.array(z.string()),
  eval_commands: z.array(z.string()),
});

/** What the constants say of one repository and version. */
export type Spec = z.infer<typeof Spec>;

export interface SpecSource {
  readonly tools: Shelf;
  readonly pip: string | undefined;
  readonly packageIndex: PackageIndex;
  readonly hostPath: string;
}

/** Reads the constants, after installing their package in a folder of its own when it is not there. */
export async function readSpec(
  source: SpecSource,
  wanted: { readonly setup: SwebenchSetup; readonly clone: string; readonly commit: string },
  watch: Watch,
): Promise<Spec> {
  const { setup, clone, commit } = wanted;
  const answer = await askConstants(source, [setup.repo, setup.version, clone, commit], watch);
  const problem = z.object({ problem: z.string() }).safeParse(answer);
  if (problem.success) throw new SandlotError("task", problem.data.problem, { field: "environment.setup" });
  return Spec.parse(answer);
}

/** The Python of every repository and version of the constants: what of a specification is known without a clone. */
export async function readPythons(
  source: SpecSource,
  watch: Watch,
): Promise<Readonly<Record<string, Readonly<Record<string, string>>>>> {
  const answer = await askConstants(source, [], watch);
  return z.record(z.string(), z.record(z.string(), z.string())).parse(answer);
}

async function askConstants(source: SpecSource, about: readonly string[], watch: Watch): Promise<unknown> {
  const python = withPip(source);
  const packages = await installConstants(source, python, watch);
  const outcome = await runOnHost({
    argv: [python, "-I", "-B", SCRIPT, packages, ...about],
    env: { ...CONFIG_ENV, PATH: source.hostPath, HOME: "/nonexistent" },
    timeoutMs: 60_000,
    signal: watch.signal,
  });
  if (outcome.exitCode === 0) return JSON.parse(outcome.stdout);
  throw new SandlotError(
    "task",
    `reading the constants of swebench ${SWEBENCH_VERSION} failed: ${tail(outcome.stderr)}`,
  );
}

export function withPip({ pip }: Pick<SpecSource, "pip">): string {
  if (pip !== undefined) return pip;
  throw new SandlotError("task", NO_PIP, { knob: "interpreters" });
}

/** The interpreter that a specification asks for; any patch release of the minor version does. */
export function interpreterFor({ python }: Pick<Spec, "python">, all: readonly Interpreter[]): Interpreter {
  const minor = python.split(".").slice(0, 2).join(".");
  const found = chooseInterpreter(all, minor);
  if (found) return found;
  const have = [...new Set(all.map((one) => one.version))].join(", ") || "none";
  throw new SandlotError(
    "task",
    `the set-up asks for Python ${minor}, this host has ${have}. Install one, for example with: pyenv install ${minor}`,
    {
      field: "environment.setup",
      knob: "interpreters",
    },
  );
}

const SCRIPT = fileURLToPath(new URL("./read_spec.py", import.meta.url));
export const NO_PIP = "no Python 3.8 or newer with pip on this host: install one (python3-pip, or a pyenv version)";

async function installConstants(source: SpecSource, python: string, watch: Watch): Promise<string> {
  const key = `swebench-${SWEBENCH_VERSION}`;
  await source.tools.publish(
    key,
    async ({ folder }, signal, report) => {
      report({ stage: "tools", message: `installing swebench ${SWEBENCH_VERSION}` });
      const outcome = await runOnHost({
        argv: [
          python,
          "-m",
          "pip",
          "install",
          "--quiet",
          "--no-deps",
          "--no-compile",
          "--disable-pip-version-check",
          "--target",
          join(folder, "packages"),
          `swebench==${SWEBENCH_VERSION}`,
        ],
        env: { ...source.packageIndex.variables, PATH: source.hostPath },
        timeoutMs: 300_000,
        signal,
      });
      if (outcome.exitCode === 0) return;
      throw new SandlotError(
        "task",
        `installing swebench ${SWEBENCH_VERSION} from the package index failed: ${tail(outcome.stderr)}`,
      );
    },
    { signal: watch.signal, onProgress: watch.report },
  );
  return join(source.tools.path(key), "packages");
}

/** The executable of a Python of this host whose pip works. */
export async function findPythonWithPip(
  interpreters: readonly Interpreter[],
  index: PackageIndex,
): Promise<string | undefined> {
  for (const { executable, version } of interpreters) {
    const [major = 0, minor = 0] = version.split(".").map(Number);
    if (major !== 3 || minor < 8) continue;
    const asked = await runOnHost({
      argv: [executable, "-m", "pip", "--version"],
      env: index.variables,
      timeoutMs: 60_000,
    }).catch(() => undefined);
    if (asked?.exitCode === 0) return executable;
  }
  return undefined;
}

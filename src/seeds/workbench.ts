import { join } from "node:path";
import type { Environment } from "../environments/environment.ts";
import type { Environments } from "../environments/prepare.ts";
import { BASE_PATH } from "../environments/requirements.ts";
import { SandlotError } from "../errors.ts";
import type { Waiter } from "../shelf/flight.ts";
import { EnvironmentRecipe } from "../tasks/task.ts";

const PYTHON = "python3.10";
const PREFIX = "/opt/workbench";
/** What the plan's image has; the last releases for that Python. */
const PACKAGES = ["pytest==8.4.2", "numpy==2.2.6", "pandas==2.3.3"];

/** What every seed is installed into: Python 3.10 with pytest, numpy and pandas, prepared once and shared. Its own repository is empty. */
const RECIPE = EnvironmentRecipe.parse({
  repository: { type: "fast-export", path: join(import.meta.dirname, "empty.fast-export") },
  baseCommit: "5f8ffd20841b68c861ba9383f7a4cfd80dfef617",
  workdir: "/workspace",
  requires: [PYTHON],
  setup: {
    type: "commands",
    commands: [
      `${PYTHON} -m venv ${PREFIX}`,
      `${PREFIX}/bin/python -m pip install --no-cache-dir --disable-pip-version-check ${PACKAGES.join(" ")}`,
      `${PREFIX}/bin/python -c 'import numpy, pandas, pytest'`,
    ],
    network: true,
  },
  env: { PATH: `${PREFIX}/bin:/opt/toolchain/${PYTHON}/bin:${BASE_PATH}`, VIRTUAL_ENV: PREFIX },
  history: "none",
});

export async function prepareWorkbench(environments: Environments, waiter: Waiter): Promise<Environment> {
  const missing = await environments.missingRequirements(RECIPE);
  if (missing.length === 0) return environments.prepare(RECIPE, waiter);
  const message = `seeds run on ${PYTHON}: ${missing.map((one) => one.message).join("; ")}`;
  throw new SandlotError("unsupported", message, { knob: "interpreters" });
}

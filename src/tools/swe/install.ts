import type { Tool } from "../tool.ts";
import { FIND_PYTHON, runStage } from "./stage.ts";

/** `swe_install` of the AutoGen plan, from what the environment has: there is no network, and pip would try for a minute. */
export const sweInstall: Tool = {
  schema: {
    type: "function",
    function: {
      name: "swe_install",
      description:
        "Installs the project into its Python, editable, or what its requirements.txt names when it is no package. There is no network: what it needs must be there already. At most 20 s.",
      parameters: { type: "object", properties: {}, required: [] },
    },
  },
  run: (_args, call) =>
    runStage(
      {
        name: "install",
        script: INSTALL,
        ending: (exitCode) => (exitCode === 0 ? "installed" : "install_failed"),
      },
      call,
    ),
};

const INSTALL = `
${FIND_PYTHON}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_INPUT=1 PIP_BREAK_SYSTEM_PACKAGES=1
install() { exec "$python" -m pip install --no-index "$@"; }
if [ -e pyproject.toml ] || [ -e setup.py ]; then install --no-build-isolation --editable .; fi
if [ -e requirements.txt ]; then install -r requirements.txt; fi
echo "nothing to install: there is no pyproject.toml, setup.py or requirements.txt"
`;

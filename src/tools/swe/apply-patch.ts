import { APPLY } from "../../seeds/stages.ts";
import type { Tool } from "../tool.ts";
import { runStage } from "./stage.ts";

/** `swe_apply_patch` of the AutoGen plan: as a whole or not at all. */
export const sweApplyPatch: Tool = {
  schema: {
    type: "function",
    function: {
      name: "swe_apply_patch",
      description:
        "Applies a unified diff to the project, with paths as `git diff` writes them (a/..., b/...); as a whole or not at all. At most 5 s.",
      parameters: {
        type: "object",
        properties: { patch: { type: "string", description: "The diff." } },
        required: ["patch"],
      },
    },
  },
  run: ({ patch }, call) =>
    runStage(
      {
        name: "patch",
        script: APPLY_STDIN,
        stdin: ended(String(patch)),
        ending: (exitCode) => (exitCode === 0 ? "patched" : "patch_failed"),
      },
      call,
    ),
};

/** Models forget the last line's end, and git takes no diff without it. */
function ended(patch: string): string {
  return patch.endsWith("\n") ? patch : `${patch}\n`;
}

/** `patch` would apply what it can of a diff and leave the rest: it is asked first. */
const APPLY_STDIN = `
file=$(mktemp) && trap 'rm -f "$file"' EXIT && cat >"$file" || exit
patch() {
  command patch --dry-run "$@" && command patch --no-backup-if-mismatch "$@"
}
set -- "$file"
${APPLY}
`;

import type { Tool } from "../tool.ts";
import { runStage } from "./stage.ts";

/** `swe_clone` of the AutoGen plan. The sandbox has no network and holds the task's repository: a clone is a clean checkout of it, in its place, so that what is done on it is what is graded. */
export const sweClone: Tool = {
  schema: {
    type: "function",
    function: {
      name: "swe_clone",
      description:
        "Gets a clean copy of the project: checks a commit of its repository out and throws away every change made so far, except for files that git ignores. At most 5 s.",
      parameters: {
        type: "object",
        properties: {
          ref: { type: "string", description: "A commit, a tag or a branch; default: the commit that is checked out." },
        },
        required: [],
      },
    },
  },
  run: ({ ref = "HEAD" }, call) =>
    runStage(
      {
        name: "clone",
        script: CLONE,
        args: [String(ref)],
        ending: (exitCode) => (exitCode === 0 ? "cloned" : "clone_failed"),
      },
      call,
    ),
};

const CLONE = `
commit=$(git rev-parse --verify --quiet "$1^{commit}") || {
  echo "the repository has no commit, tag or branch $1" >&2
  exit 1
}
git checkout --quiet --force --detach "$commit" && git clean --quiet -ffd && git log -1 --format='%H %s'
`;

import type { EnvironmentRecipe } from "../tasks/task.ts";

/** What an environment is made by: as a task says it, or without a repository, for a sandbox that nothing will be handed in from. */
export type Wanted = Omit<EnvironmentRecipe, "repository"> & {
  readonly repository: EnvironmentRecipe["repository"] | { readonly type: "none" };
};

/** An image as it is, and nothing in it. */
export function bareImage(ref: string): Wanted {
  return {
    rootfs: { type: "image", ref, context: "" },
    repository: { type: "none" },
    ...{ baseCommit: "", workdir: "", requires: [], env: {}, history: "past" },
    setup: { type: "commands", commands: [], network: false },
  };
}

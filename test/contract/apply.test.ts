import { describe, expect, it } from "vitest";
import { APPLY_CHAINS, applyPatch, patchFileOf } from "../../src/grading/apply.ts";
import type { ApplyName } from "../../src/grading/spec.ts";
import type { Sandbox } from "../../src/sandbox/sandbox.ts";
import { availableVariants, bash, newPlace, specIn } from "../support/backends.ts";

const { signal } = new AbortController();
const [variant] = (await availableVariants()).filter(({ options }) => options.type === "process");
if (variant === undefined) console.warn("the application of patches is not tried: there is no process backend here");

/** Twenty numbered lines in `f`, and a history in which line 5 was `old 5` once. */
const REPOSITORY = `
set -e; [ "$PLACE" != / ]; cd "$PLACE"; rm -r file folder
git init -q . && git config user.name t && git config user.email t@t && git config core.hooksPath /dev/null
seq 1 20 | sed 's/^5$/old 5/' > f && git add f && git commit -qm first
seq 1 20 > f && git commit -qam second
`;

/** A change to line 10, as `git diff` would print it. */
const PLAIN = patch("@@ -8,5 +8,5 @@\n 8\n 9\n-10\n+ten\n 11\n 12\n");
/** One whose outermost context is not in the file. */
const FUZZY_HUNK = "@@ -7,7 +7,7 @@\n seven\n 8\n 9\n-10\n+ten\n 11\n 12\n thirteen\n";
const TWO_HUNKS = patch(`@@ -1,3 +1,3 @@\n 1\n-2\n+two\n 3\n${FUZZY_HUNK}`);

interface Outcome {
  readonly applied: boolean;
  /** What is not as committed, with the changed lines. */
  readonly status: string;
  readonly changes: readonly string[];
}

describe.skipIf(variant === undefined)("a submission is applied as each release does it", () => {
  it.each(["swebench@5.0.2", "swebench@4.1.0"] as const)("%s: by the first command that can", async (name) => {
    expect(await apply(name, PLAIN)).toEqual({ applied: true, status: " M f", changes: ["-10", "+ten"] });
  });

  it.each(["swebench@5.0.2", "swebench@4.1.0"] as const)("%s: by none, where it is no patch", async (name) => {
    expect(await apply(name, " \n")).toEqual({ applied: false, status: "", changes: [] });
  });

  it("5.0.2 merges a patch of an older version of a file, 4.1.0 applies it with fuzz", async () => {
    const ofOlder = "git show HEAD~1:f | sed 's/^7$/seven/' > f; git diff HEAD~1 -- f; git checkout -q HEAD -- f";
    const five = await apply("swebench@5.0.2", { printedBy: ofOlder });
    expect(five).toEqual({ applied: true, status: "M  f", changes: ["-7", "+seven"] });
    const four = await apply("swebench@4.1.0", { printedBy: ofOlder });
    expect(four).toEqual({ applied: true, status: " M f\n?? f.orig\n?? f.rej", changes: ["-7", "+seven"] });
  });

  it("5.0.2 comes to the last command with a clean tree, 4.1.0 with what the one before it rejected", async () => {
    const fuzzy = patch(FUZZY_HUNK);
    const changes = ["-10", "+ten"];
    expect(await apply("swebench@5.0.2", fuzzy)).toEqual({ applied: true, status: " M f\n?? f.orig", changes });
    const rejected = " M f\n?? f.orig\n?? f.rej";
    expect(await apply("swebench@4.1.0", fuzzy)).toEqual({ applied: true, status: rejected, changes });
  });

  it("5.0.2 applies all hunks where 4.1.0 has applied one already and takes it back", async () => {
    const five = await apply("swebench@5.0.2", TWO_HUNKS);
    expect(five).toMatchObject({ applied: true, changes: ["-2", "+two", "-10", "+ten"] });
    expect(await apply("swebench@4.1.0", TWO_HUNKS)).toMatchObject({ applied: false, changes: [] });
  });

  it("5.0.2 takes for applied what is there already, 4.1.0 undoes it", async () => {
    const there = "sed -i 's/^10$/ten/' f; git commit -qam third";
    expect(await apply("swebench@5.0.2", PLAIN, there)).toMatchObject({ applied: true, changes: [] });
    expect(await apply("swebench@4.1.0", PLAIN, there)).toMatchObject({ applied: true, changes: ["-ten", "+10"] });
  });

  it("5.0.2 removes an untracked file that is in a patch's way, 4.1.0 does not", async () => {
    const adding = "diff --git a/new b/new\nnew file mode 100644\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+new\n";
    expect(await apply("swebench@5.0.2", adding, "echo other > new")).toMatchObject({ applied: true });
    expect(await apply("swebench@4.1.0", adding, "echo other > new")).toMatchObject({ applied: false });
  });
});

function patch(hunks: string): string {
  return `diff --git a/f b/f\n--- a/f\n+++ b/f\n${hunks}`;
}

type Patch = string | { readonly printedBy: string };

async function apply(name: ApplyName, patch: Patch, prepare = "true"): Promise<Outcome> {
  if (variant === undefined) throw new Error("no backend");
  await using place = newPlace(variant);
  const backend = await place.open();
  const sandbox = await backend.create(specIn(place), signal);
  try {
    const env = { ...sandbox.env, PLACE: sandbox.workdir };
    const print = typeof patch === "string" ? "" : patch.printedBy;
    const made = await bash(sandbox, `${REPOSITORY}\n${prepare}\n${print}`, { env });
    expect(made.exitCode, made.stderr).toBe(0);
    const chain = APPLY_CHAINS[name];
    const text = typeof patch === "string" ? patch : made.stdout;
    await sandbox.writeFile(patchFileOf(chain), Buffer.from(text), { callId: "patch", signal });
    return { applied: await applyPatch(sandbox, chain, signal), ...(await lookAt(sandbox)) };
  } finally {
    await sandbox.dispose();
    await backend.close();
  }
}

async function lookAt(sandbox: Sandbox): Promise<Omit<Outcome, "applied">> {
  const status = await bash(sandbox, "git status --porcelain");
  const { stdout } = await bash(sandbox, "git diff -U0 HEAD");
  const changes = stdout.split("\n").filter((line) => /^[-+](?![-+])/.test(line));
  return { status: status.stdout.trimEnd(), changes };
}

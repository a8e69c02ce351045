import { describe, expect, test } from "vitest";
import { openBackend } from "../../src/sandbox/open.ts";
import { availableVariants, newPlace } from "../support/backends.ts";
import { leftovers } from "../support/leftovers.ts";

const variants = (await availableVariants()).filter(({ options }) => options.type === "oci");
// One is enough, and runc is quicker to say that a program ended.
const variant = variants.find(({ options }) => options.type === "oci" && options.runtime === "runc") ?? variants[0];

describe.skipIf(variant === undefined)("a backend", () => {
  test("that cannot run its first sandbox says why and leaves nothing", async () => {
    if (variant === undefined) throw new Error("skipped without a variant");
    await using place = newPlace(variant);
    const opened = openBackend({ ...place.options, runnerPath: "/bin/true" });
    await expect(opened).rejects.toMatchObject({ fault: "unsupported" });
    expect(leftovers(place.stateDir, place.instance)).toEqual([]);
  });
});

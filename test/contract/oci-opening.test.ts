import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

const trial = spawnSync("unshare", ["--user", "true"], { encoding: "utf8" });
if (trial.status !== 0) process.stderr.write(`skipped: a server without user namespaces: ${trial.stderr}\n`);

test.skipIf(trial.status !== 0)(
  "without root, and without user namespaces, says what is missing and how to go on",
  () => {
    const state = mkdtempSync(join(tmpdir(), "sandlot-test-"));
    const doctor = [process.execPath, join(import.meta.dirname, "../../src/cli/main.ts"), "doctor", "--state", state];
    // A user namespace with a user that is not root, in which no further one may be made.
    const none = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"';
    const user = ["--user", "--map-user=1001", "--map-group=1001", "--keep-caps", "sh", "-c", none, "sh"];
    const { stdout, status, stderr } = spawnSync("unshare", [...user, ...doctor], {
      encoding: "utf8",
      timeout: 170_000,
    });
    rmSync(state, { recursive: true, force: true });
    expect([stderr, status]).toEqual(["", 1]);
    expect(stdout).toMatch(
      /^fail +backend +backend\.type: .*user namespaces for everybody.*max_user_namespaces.*type: process/m,
    );
  },
);

import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, type ExpectStatic, test } from "vitest";
import { WAITS, type Waits } from "../../src/sandbox/e2b/waits.ts";
import type { Backend } from "../../src/sandbox/sandbox.ts";
import { bash, specIn } from "../support/backends.ts";
import type { Fault } from "../support/e2b/faults.ts";
import type { E2bServer } from "../support/e2b/server.ts";
import { e2bService, placeOn } from "../support/e2b-variant.ts";
import { leaveOut } from "../support/required.ts";
import type { Place } from "../support/variants.ts";

/** Every request that the backend makes in the life below. */
const CALLS = {
  "a list": /^GET \/v2\/sandboxes$/,
  "a template's name": /^GET \/templates\/aliases\//,
  "a template's builds": /^GET \/templates\/[^/]+$/,
  "a template": /^POST \/v3\/templates$/,
  "a build": /^POST \/v2\/templates\//,
  "a build's state": /\/status$/,
  "a create": /^POST \/sandboxes$/,
  "a connect": /^POST \/sandboxes\/[^/]+\/connect$/,
  "a look": /^GET \/sandboxes\/[^/]+$/,
  "a longer life": /\/timeout$/,
  "a snapshot": /^POST \/sandboxes\/[^/]+\/snapshots$/,
  "an end": /^DELETE \/sandboxes\//,
  "a snapshot's end": /^DELETE \/templates\//,
  "a file there": /^POST \/files$/,
  "a file back": /^GET \/files$/,
  "a start": /Process\/Start$/,
  "a line": /Process\/Connect$/,
  input: /Process\/SendInput$/,
} as const;

const PAGE = "<html><body>It works!</body></html>";

const KINDS: Readonly<Record<string, Omit<Fault, "at" | "times">>> = {
  "is refused with 500": { answer: { status: 500, body: { code: 500, message: "internal error" } } },
  "meets a gateway's page": { answer: { status: 502, text: PAGE } },
  "is one too many": { answer: { status: 429, body: { code: 429, message: "slow down" } } },
  "is cut off": { cut: "before" },
  "is done, and its answer lost": { cut: "after" },
  "gets no answer": { silent: true },
  "gets a page for an answer": { answer: { status: 200, text: PAGE } },
  "gets an answer without an end": { endless: true },
};

/** Long enough for what is done, short enough for a test. */
const SHORT: Waits = {
  ...WAITS,
  ...{ askMs: 1_500, createMs: 5_000, snapshotMs: 5_000, pollMs: 50, fileMs: 3_000, callMs: 1_500, lineMs: 4_000 },
  ...{ attachMs: 8_000, scriptMs: 20_000, pauseMs: 40 },
};

if (process.getuid?.() !== 0) {
  leaveOut("faults of E2B at each call", "e2b", "the test server makes name spaces and mounts, which needs root");
  test.skip("faults of E2B at each call need root");
} else {
  describe.concurrent("when each call of the e2b backend once", () => {
    // The file's own `expect` tells one of several tests at a time from another by luck only.
    test.for(Object.entries(KINDS))(
      "%s, nothing is lost, done twice or left",
      { timeout: 300_000 },
      async ([_kind, fault], { expect }) => {
        await using service = await e2bService();
        const { server } = service;
        await using place = placeOn(server, { waits: SHORT });
        server.faults.push({ at: CALLS["a create"], times: 1, cut: "after" }); // what makes it look for a lost one, and connect
        for (const at of Object.values(CALLS)) server.faults.push({ at, times: 1, ...fault });
        await life(place, server, expect);
        expect(server.faults.filter(({ times }) => times > 0).map(({ at }) => String(at))).toEqual([]);
        expect([await place.leftovers(), server.sandboxes.ids]).toEqual([[], []]);
      },
    );
  });
}

/** A server's whole life with one sandbox, in which every call is made. */
async function life(place: Place, server: E2bServer, expect: ExpectStatic): Promise<void> {
  const first = await place.open();
  const sandbox = await first.create(specIn(place));
  expect((await bash(sandbox, "echo once >> file; seq 1 20000; cat file")).stdout).toMatch(
    /\n20000\nfrom the layer\nonce\n$/,
  );
  await first.close();
  const second = await place.open();
  const found = await second.reopen(sandbox.id);
  if (found === undefined) throw new Error("the sandbox was not found again");
  expect((await bash(found, "cat file")).stdout).toBe("from the layer\nonce\n");
  await found.dispose();
  expect(await builtLayer(place, second)).toBe("built\n");
  await second.close();
  await withoutItsLayer(place);
  expect(server.sandboxes.ids).toEqual([]);
}

async function builtLayer(place: Place, backend: Backend): Promise<string> {
  const target = join(place.stateDir, "built");
  await backend.buildLayer(specIn(place), target, async (sandbox) => {
    await bash(sandbox, "echo built > /work/made");
  });
  return readFileSync(join(target, "work/made"), "utf8");
}

/** An open that finds a snapshot's layer gone removes the snapshot. */
async function withoutItsLayer(place: Place): Promise<void> {
  rmSync(place.layer, { recursive: true });
  await (await place.open()).close();
}

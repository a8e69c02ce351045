import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Account } from "../../src/sandbox/e2b/account.ts";
import { CLAIM } from "../../src/sandbox/e2b/boot.ts";
import { Gate } from "../../src/sandbox/e2b/gate.ts";
import { Machine } from "../../src/sandbox/e2b/machine.ts";
import { WAITS } from "../../src/sandbox/e2b/waits.ts";
import type { Backend, Sandbox } from "../../src/sandbox/sandbox.ts";
import { bash, eventually, specIn } from "../support/backends.ts";
import { TOO_MANY } from "../support/e2b/faults.ts";
import type { E2bServer } from "../support/e2b/server.ts";
import { e2bOptions, e2bService, placeOn } from "../support/e2b-variant.ts";
import { leaveOut } from "../support/required.ts";
import type { Place } from "../support/variants.ts";

const ROOM = { maxSandboxes: 1, createsPerSecond: 1 };
const IMAGE = { type: "image", ref: "host:latest", digest: `sha256:${"0".repeat(64)}` } as const;
const CREATE = /^POST \/sandboxes$/;

/** What the service may do wrong at each call, and what a server makes of it. */
if (process.getuid?.() !== 0) {
  leaveOut("faults of E2B", "e2b", "the test server makes name spaces and mounts, which needs root");
  test.skip("faults of E2B need root");
} else {
  describe("the e2b backend, when", () => {
    let service: Awaited<ReturnType<typeof e2bService>>;
    let server: E2bServer;
    let place: Place;
    let backend: Backend;
    let shared: Sandbox;

    beforeAll(async () => {
      service = await e2bService();
      server = service.server;
      place = placeOn(server, { maxSandboxes: 4 });
      backend = await place.open();
      shared = await backend.create(specIn(place));
    });

    beforeEach(() => {
      server.faults.length = 0;
    });

    afterAll(async () => {
      server.faults.length = 0;
      await shared?.dispose();
      const listed = await backend.list();
      await backend.close();
      expect([listed, await place.leftovers()]).toEqual([[], []]);
      await place[Symbol.asyncDispose]();
      await service[Symbol.asyncDispose]();
    });

    /** It is made and works; afterwards there is no machine more than before. */
    async function madeAllTheSame(): Promise<void> {
      const before = server.sandboxes.ids.length;
      const sandbox = await backend.create(specIn(place));
      expect((await bash(sandbox, "cat file")).stdout).toBe("from the layer\n");
      await sandbox.dispose();
      expect(server.faults.filter(({ times }) => times > 0)).toEqual([]);
      expect(server.sandboxes.ids).toHaveLength(before);
    }

    test.each([
      ["too many requests come in a time", { answer: TOO_MANY.requests }],
      ["there are too many machines", { answer: TOO_MANY.sandboxes }],
      ["a gateway fails", { answer: { status: 502, body: { code: 502, message: "bad gateway" } } }],
      ["a create is cut off", { cut: "before" as const }],
      ["the answer to a create is lost", { cut: "after" as const }],
      ["the service is slow", { delayMs: 400 }],
    ])("%s, makes the machine all the same, and one only", async (_what, fault) => {
      server.faults.push({ at: CREATE, times: 1, ...fault });
      await madeAllTheSame();
    });

    test("its machine has folders on mounts of their own, shows an environment there all the same", async () => {
      const layer = join(place.stateDir, "behind");
      mkdirSync(join(layer, "home/work"), { recursive: true });
      writeFileSync(join(layer, "home/work/file"), "from the layer\n");
      const sandbox = await backend.create(specIn(place, { layers: [layer], workdir: "/home/work" }));
      const { machine } = server.sandboxes.named({ sandlot_id: sandbox.id })[0] ?? {};
      expect((await machine?.run(["/bin/mountpoint", "-q", "/home"]))?.code).toBe(0);
      expect((await bash(sandbox, "cat file")).stdout).toBe("from the layer\n");
      await sandbox.dispose();
    });

    test.each([
      ["its daemon does not start the runner", { at: /Process\/Start$/, answer: { status: 502, body: { code: 502 } } }],
      ["the line to the runner is cut while it starts", { at: /Process\/Start$/, cutAfterBytes: 40 }],
      ["the first input is lost", { at: /SendInput$/, cut: "before" as const }],
      ["the runner cannot be attached to at once", { at: /Process\/Connect$/, answer: { status: 503, body: {} } }],
    ])("%s, makes a sandbox that works", async (_what, fault) => {
      server.faults.push({ times: 1, ...fault });
      await madeAllTheSame();
    });

    test.each([
      ["input is lost", { at: /SendInput$/, cut: "before" as const }],
      ["the answer to input is lost", { at: /SendInput$/, cut: "after" as const }],
      ["input is refused by a gateway", { at: /SendInput$/, answer: { status: 502, body: { code: 502 } } }],
    ])("%s, runs a command once and gives its result", async (_what, fault) => {
      server.faults.push({ times: 1, ...fault });
      const name = `once-${server.requests.length}`;
      const result = await bash(shared, `echo x >> ${name}; seq 1 20000; cat ${name}`);
      expect(result.exitCode).toBe(0);
      expect(result.stdout.endsWith("20000\nx\n")).toBe(true);
      expect(server.faults[0]?.times).toBe(0);
    });

    test("lines are cut in the middle of output again and again, gives all of it", async () => {
      server.faults.push({ at: /SendInput$/, times: 1, cut: "after" });
      server.faults.push({ at: /Process\/Connect$/, times: 4, cutAfterBytes: 40_000 });
      const { stdout } = await bash(shared, "for n in $(seq 1 30); do seq 1 1000; sleep 0.02; done; echo end", {
        onOutput: () => undefined,
      });
      expect(stdout.split("\n").filter((line) => line === "1000")).toHaveLength(30);
      expect(stdout.endsWith("end\n")).toBe(true);
    });

    test("a machine's time is over in the middle of a command, says that it was the host", async () => {
      const sandbox = await backend.create(specIn(place));
      let started = false;
      const running = bash(sandbox, "echo go; sleep 60", {
        timeoutMs: 60_000,
        onOutput: () => {
          started = true;
        },
      });
      const told = running.catch((error: unknown) => error);
      await eventually("it runs", () => started);
      const [box] = server.sandboxes.named({ sandlot_id: sandbox.id });
      await fetch(`${server.url}/sandboxes/${box?.id}`, { method: "DELETE", headers: { "x-api-key": server.apiKey } });
      expect(await told).toMatchObject({ fault: "sandbox" });
      expect(await sandbox.alive()).toBe(false);
      await sandbox.dispose();
    });

    test("a removal is refused at first, removes", async () => {
      const sandbox = await backend.create(specIn(place));
      server.faults.push({ at: /^DELETE /, times: 2, answer: { status: 500, body: { code: 500, message: "later" } } });
      await sandbox.dispose();
      expect(server.sandboxes.named({ sandlot_id: sandbox.id })).toEqual([]);
    });

    test("it is asked to prepare an environment, counts that machine among the costs too", () => {
      const lines = readFileSync(join(place.stateDir, "e2b-costs.jsonl"), "utf8").trim().split("\n");
      const costs = lines.map((line): { readonly id: string } => JSON.parse(line)); // as the backend writes them
      const [prepared] = costs.filter(({ id }) => id.startsWith("sandlot_prepares-"));
      expect(prepared).toMatchObject({ sandboxId: expect.any(String), seconds: expect.any(Number) });
    });

    test("removals are refused for a while, what had to go goes by itself later, and lives no longer", async () => {
      const waits = { ...WAITS, pauseMs: 5, strayMs: 500 };
      const refused = { at: /^DELETE /, answer: { status: 503, text: "<html>later</html>" } };
      const patient = placeOn(server, { waits, lifeS: 9 });
      const opened = await patient.open();
      const sandbox = await opened.create(specIn(patient));
      server.faults.push({ ...refused, times: 1_000 });
      await expect(sandbox.dispose()).rejects.toThrow("503");
      server.faults.push({ at: /Process\/Start$/, times: 1_000, answer: { status: 500, body: {} } });
      await expect(opened.create(specIn(patient))).rejects.toThrow("the sandbox's daemon answered 500");
      expect(await patient.leftovers()).toHaveLength(4);
      const renewals = server.requests.filter((line) => line.endsWith("/timeout")).length;
      server.faults.length = 0;
      await eventually("they are gone", async () => (await patient.leftovers()).length === 0);
      expect(server.requests.filter((line) => line.endsWith("/timeout"))).toHaveLength(renewals);
      await opened.close();
      await patient[Symbol.asyncDispose]();
    });

    test("the account is full, waits for a place", async () => {
      const more = await Promise.all([1, 2, 3].map(() => backend.create(specIn(place))));
      let made = false;
      const last = backend.create(specIn(place)).then((sandbox) => {
        made = true;
        return sandbox;
      });
      await bash(shared, "sleep 0.3");
      expect(made).toBe(false);
      await more[0]?.dispose();
      const waited = await last;
      expect((await bash(waited, "cat file")).stdout).toBe("from the layer\n");
      await Promise.all([...more.slice(1), waited].map((sandbox) => sandbox.dispose()));
    });

    test("it opens again, has removed the snapshots of layers that are gone, and keeps the others", async () => {
      const other = placeOn(server, { maxSandboxes: 4 });
      const snapshots = async (): Promise<number> => {
        const answer = await fetch(`${server.url}/snapshots`, { headers: { "x-api-key": server.apiKey } });
        return ((await answer.json()) as unknown[]).length;
      };
      const before = await snapshots();
      const first = await other.open();
      await (await first.create(specIn(other))).dispose();
      await first.close();
      expect(await snapshots()).toBe(before + 1);
      await (await other.open()).close();
      expect(await snapshots()).toBe(before + 1);
      rmSync(other.layer, { recursive: true });
      await (await other.open()).close();
      expect(await snapshots()).toBe(before);
      await other[Symbol.asyncDispose]();
    });

    test("it opens again, and the service keeps a snapshot from which a machine lives, opens all the same and asks again later", async () => {
      const other = placeOn(server, { maxSandboxes: 4 });
      const first = await other.open();
      const sandbox = await first.create(specIn(other));
      await first.close();
      rmSync(other.layer, { recursive: true });
      const removals = (): number => server.requests.filter((line) => line.startsWith("DELETE /templates/")).length;
      const before = removals();
      const second = await other.open();
      expect(removals()).toBe(before + 1);
      await second.remove(sandbox.id);
      await second.close();
      await (await other.open()).close();
      await (await other.open()).close();
      expect(removals()).toBe(before + 2);
      expect(await other.leftovers()).toEqual([]);
      await other[Symbol.asyncDispose]();
    });

    test("its daemon shows signs of life and nothing else, says so in time", async () => {
      const waits = { ...WAITS, callMs: 500, attachMs: 1_000, pauseMs: 20 };
      await using silent = placeOn(server, { waits, hostImage: "" });
      const opened = await silent.open();
      server.faults.push({ at: /Process\/Start$/, times: 1_000, endless: true });
      await expect(opened.create(specIn(silent, { rootfs: IMAGE }))).rejects.toMatchObject({
        fault: "sandbox",
        message: expect.stringContaining("no process was told of within 500 ms"),
      });
      await opened.close();
      expect(await silent.leftovers()).toEqual([]);
    });

    test("no create is ever answered, is not asked again and again for ever", async () => {
      const waits = { ...WAITS, createMs: 300, patienceMs: 400, pauseMs: 20 };
      await using silent = placeOn(server, { waits, hostImage: "" });
      const opened = await silent.open();
      const creates = (): number => server.requests.filter((line) => CREATE.test(line)).length;
      const before = creates();
      server.faults.push({ at: CREATE, times: 1_000, silent: true });
      await expect(opened.create(specIn(silent, { rootfs: IMAGE }))).rejects.toMatchObject({
        fault: "sandbox",
        message: expect.stringContaining("did not answer"),
      });
      expect(creates() - before).toBeLessThanOrEqual(3);
      await opened.close();
      expect(await silent.leftovers()).toEqual([]);
    });

    test("a script in a machine does not end, is given up", async () => {
      const waits = { ...WAITS, scriptMs: 1_000 };
      const [box] = server.sandboxes.named({ sandlot_id: shared.id });
      const account = new Account({ ...e2bOptions(server), waits }, new Gate(ROOM));
      const machine = new Machine({ sandboxId: box?.id ?? "", ...(box?.token && { token: box.token }) }, account);
      await expect(machine.run("exec sleep 20")).rejects.toThrow("did not end within 1 s");
    });

    test("it asks for a rest of a day, is asked again much earlier", async () => {
      let restedMs = 0;
      const gate = new Gate({ maxSandboxes: 1, createsPerSecond: 1_000 });
      gate.holdBack = (ms) => {
        restedMs = ms;
      };
      const account = new Account(e2bOptions(server), gate);
      const { body } = TOO_MANY.requests;
      server.faults.push({ at: CREATE, times: 1, answer: { status: 429, headers: { "retry-after": "86400" }, body } });
      server.faults.push({ at: CREATE, times: 1, answer: { status: 400, body: { code: 400, message: "enough" } } });
      const wish = { templateId: "any", metadata: {}, lifeS: 60, internet: false };
      await expect(account.create(wish)).rejects.toThrow("enough");
      expect(restedMs).toBeGreaterThan(50_000);
      expect(restedMs).toBeLessThan(100_000);
    });

    test("it has no snapshots, furnishes each machine itself", async () => {
      await using bare = placeOn(server);
      const opened = await bare.open();
      server.faults.push({
        at: /\/snapshots$/,
        times: 100,
        answer: { status: 404, body: { code: 404, message: "no" } },
      });
      const [one, two] = await Promise.all([opened.create(specIn(bare)), opened.create(specIn(bare))]);
      expect((await bash(two, "cat file")).stdout).toBe("from the layer\n");
      await Promise.all([one.dispose(), two.dispose()]);
      await opened.close();
      expect(await bare.leftovers()).toEqual([]);
    });

    test("the key is wrong, says so before anything is made", async () => {
      await using wrong = placeOn(server, { apiKey: "e2b_wrong" });
      await expect(wrong.open()).rejects.toMatchObject({
        fault: "unsupported",
        message: expect.stringContaining("401"),
      });
    });

    test("the image is not there, blames the task", async () => {
      const rootfs = { type: "image", ref: "nowhere:1", digest: `sha256:${"0".repeat(64)}` } as const;
      await expect(backend.create(specIn(place, { rootfs }))).rejects.toMatchObject({ fault: "task" });
    });
  });

  test("a service whose sandboxes share their files is refused before any is mixed with another", async () => {
    await using service = await e2bService({ manner: "sparse" });
    await using place = placeOn(service.server);
    const backend = await place.open();
    const first = await backend.create(specIn(place));
    const [box] = service.server.sandboxes.named({ sandlot_id: first.id });
    await box?.machine.run(["/bin/bash", "-c", "echo another > /var/lib/sandlot/machine"]);
    const machine = new Machine({ sandboxId: box?.id ?? "" }, new Account(e2bOptions(service.server), new Gate(ROOM)));
    await expect(machine.run(CLAIM, box?.id ?? "")).rejects.toThrow(/share their files: these are those of another/);
    await first.dispose();
    await backend.close();
  });

  test("templates wait for each other where the account may build one at a time", async () => {
    await using service = await e2bService({ account: { maxBuilds: 1 } });
    const { server } = service;
    await using place = placeOn(server, { hostImage: "", waits: { ...WAITS, pauseMs: 20, pollMs: 50 } });
    const backend = await place.open();
    // The first one's build goes on for longer than a request is tried again.
    server.faults.push({ at: /^POST \/v2\/templates\//, times: 1, delayMs: 2_500 });
    const watch = { signal: AbortSignal.timeout(60_000), report: () => undefined };
    await Promise.all(["host:latest", "host:other"].map((ref) => backend.images?.resolve(ref, watch)));
    await backend.close();
    expect(server.templates.built).toHaveLength(2);
  });

  test("servers of one host that need a template at once build it once", async () => {
    await using service = await e2bService();
    await using one = placeOn(service.server);
    await using other = placeOn(service.server);
    const opened = await Promise.all([one.open(), other.open()]);
    await Promise.all(opened.map((backend) => backend.close()));
    expect(service.server.templates.built).toHaveLength(1);
  });

  test("a server on another host waits for the build that is under way, and builds what was lost", async () => {
    await using service = await e2bService();
    const { server } = service;
    await using here = placeOn(server);
    await using there = placeOn(server, { lockDir: join(server.folder, "locks of another host") });
    server.faults.push({ at: /^POST \/v2\/templates\//, times: 1, delayMs: 500 });
    const first = here.open();
    await eventually("a build was asked for", () => server.requests.includes("POST /v3/templates"));
    const [backend, second] = await Promise.all([first, there.open()]);
    expect(server.templates.built).toHaveLength(1);
    await fetch(`${server.url}/templates/${server.templates.built[0]}`, {
      method: "DELETE",
      headers: { "x-api-key": server.apiKey },
    });
    const sandbox = await backend.create(specIn(here));
    expect((await bash(sandbox, "cat file")).stdout).toBe("from the layer\n");
    expect(server.requests.filter((line) => line === "POST /v3/templates")).toHaveLength(2);
    await sandbox.dispose();
    await Promise.all([backend.close(), second.close()]);
    expect([await here.leftovers(), await there.leftovers()]).toEqual([[], []]);
  });

  test.each([
    ["newer", { versions: ["v2"], asked: "v1" }],
    ["older", { versions: ["v1"], asked: "v2" }],
  ] as const)(
    "the e2b backend finds the paths of a service that has the %s ones only",
    async (_which, { versions, asked }) => {
      await using service = await e2bService({ versions });
      await using place = placeOn(service.server, { apiVersion: asked });
      const backend = await place.open();
      const sandbox = await backend.create(specIn(place));
      expect((await bash(sandbox, "cat file")).stdout).toBe("from the layer\n");
      await sandbox.dispose();
      await backend.close();
      expect(service.server.requests.filter((line) => /^POST .*sandboxes$/.test(line)).length).toBeLessThan(7);
    },
  );
}

import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandExitError, NotFoundError, RateLimitError, Sandbox, SandboxNotFoundError, Template } from "e2b";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TOO_MANY } from "../support/e2b/faults.ts";
import { hostDisk } from "../support/e2b/host-disk.ts";
import { E2bServer } from "../support/e2b/server.ts";
import { leaveOut } from "../support/required.ts";

/** The test server, as the real SDK finds it. */
if (process.getuid?.() !== 0) {
  leaveOut("the E2B test server", "e2b", "it makes name spaces and mounts, which needs root");
  test.skip("the E2B test server needs root");
} else {
  describe("the E2B test server", () => {
    let folder: string;
    let server: E2bServer;
    let shared: Sandbox;

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "sandlot-e2b-"));
      const images = new Map([["host:latest", await hostDisk(folder)]]);
      server = await E2bServer.start({ images, account: { maxSandboxes: 6 } });
      await Template.build(Template().fromImage("host:latest"), "base", { ...server.connection, cpuCount: 1 });
      shared = await Sandbox.create("base", { ...server.connection, timeoutMs: 900_000, metadata: { who: "shared" } });
    });

    afterAll(async () => {
      await server?.[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    });

    const create = (template = "base", timeoutMs = 600_000): Promise<Sandbox> =>
      Sandbox.create(template, { ...server.connection, timeoutMs });

    test("runs a command by a login shell as the default user, in the user's home, and throws on a bad exit", async () => {
      const { stdout } = await shared.commands.run("whoami; pwd; shopt -q login_shell && echo login");
      expect(stdout).toBe("user\n/home/user\nlogin\n");
      const failing = shared.commands.run("echo out; echo err >&2; exit 3");
      await expect(failing).rejects.toBeInstanceOf(CommandExitError);
      await expect(failing).rejects.toMatchObject({ exitCode: 3, stdout: "out\n", stderr: "err\n" });
    });

    test("tells output while a command runs, takes its stdin, and lets another client connect", async () => {
      const seen: string[] = [];
      const handle = await shared.commands.run("echo ready; read line; echo got $line; cat", {
        background: true,
        stdin: true,
        onStdout: (data) => void seen.push(data),
      });
      await expect.poll(() => seen.join("")).toBe("ready\n");
      const other: string[] = [];
      const second = await shared.commands.connect(handle.pid, { onStdout: (data) => void other.push(data) });
      expect((await shared.commands.list()).map(({ pid }) => pid)).toContain(handle.pid);
      await shared.commands.sendStdin(handle.pid, "a line\n");
      await expect.poll(() => other.join("")).toBe("got a line\n");
      await shared.commands.closeStdin(handle.pid);
      expect((await handle.wait()).stdout).toBe("ready\ngot a line\n");
      expect((await second.wait()).exitCode).toBe(0);
    });

    test("ends a command past its time-out, but only the first process of it", async () => {
      const { commands } = shared;
      await expect(commands.run("sleep 611 & sleep 612", { timeoutMs: 3_000 })).rejects.toThrow(/deadline/);
      const { stdout } = await commands.run("pgrep -f 'sleep 61[1]' && pkill -f 'sleep 61[1]'");
      expect(stdout).toMatch(/\d/);
    });

    test("keeps files whole: text, bytes, folders, and what is not there", async () => {
      const bytes = Uint8Array.from({ length: 70_000 }, (_, at) => at % 256);
      await shared.files.write("deep/er/file.bin", bytes.buffer);
      expect(Buffer.from(await shared.files.read("/home/user/deep/er/file.bin", { format: "bytes" }))).toEqual(
        Buffer.from(bytes),
      );
      await shared.files.write("/etc/owned", "by root", { user: "root" });
      expect((await shared.files.list("deep")).map(({ name, type }) => [name, type])).toEqual([["er", "dir"]]);
      expect(await shared.files.exists("deep/none")).toBe(false);
      await expect(shared.files.read("/none")).rejects.toBeInstanceOf(NotFoundError);
      await shared.files.rename("deep/er/file.bin", "deep/renamed");
      expect((await shared.files.getInfo("deep/renamed")).size).toBe(70_000);
      await shared.files.remove("deep");
      expect(await shared.files.exists("deep")).toBe(false);
    });

    test("gives each sandbox a root of its own, with the host's programs and none of its other files", async () => {
      const other = await create();
      await shared.commands.run("mkdir -p /testbed && echo mine > /testbed/file && rm -rf /opt", { user: "root" });
      const { stdout } = await other.commands.run(
        `ls -d /opt /testbed ${folder} ${import.meta.dirname} 2>/dev/null; :`,
      );
      expect(stdout).toBe("/opt\n");
      expect(await other.kill()).toBe(true);
      expect(await other.kill()).toBe(false);
    });

    test("lists by metadata, in pages, and renews a life", async () => {
      const query = { metadata: { who: "shared" } };
      const [found] = await Sandbox.list({ ...server.connection, query }).nextItems();
      expect(found?.sandboxId).toBe(shared.sandboxId);
      await shared.setTimeout(300_000);
      const { endAt } = await shared.getInfo();
      expect(endAt.getTime() - Date.now()).toBeGreaterThan(250_000);
      const pages = Sandbox.list({ ...server.connection, limit: 1 });
      const second = await create();
      const ids: string[] = [];
      while (pages.hasNext) ids.push(...(await pages.nextItems()).map(({ sandboxId }) => sandboxId));
      expect(ids).toEqual([shared.sandboxId, second.sandboxId]);
      await second.kill();
    });

    test("builds templates step by step, and tells why a build failed", async () => {
      const log: string[] = [];
      const template = Template()
        .fromImage("host:latest")
        .setEnvs({ COLOUR: "green" })
        .runCmd("echo built > /built", { user: "root" })
        .setWorkdir("/testbed");
      const onBuildLogs = (entry: { toString(): string }): void => void log.push(entry.toString());
      await Template.build(template, "made", { ...server.connection, onBuildLogs });
      expect(await Template.exists("made", server.connection)).toBe(true);
      expect(await Template.exists("other", server.connection)).toBe(false);
      const sandbox = await create("made");
      expect((await sandbox.commands.run("cat /built; echo $COLOUR; pwd")).stdout).toBe("built\ngreen\n/testbed\n");
      await sandbox.kill();
      const bad = Template().fromImage("nowhere:latest");
      await expect(Template.build(bad, "bad", server.connection)).rejects.toThrow(
        "failed to pull image 'nowhere:latest'",
      );
    });

    test("keeps a snapshot, from which sandboxes are made that do not touch each other", async () => {
      const first = await create();
      await first.commands.run("echo kept > /tmp/state; rm /etc/profile; echo home > ~/here", { user: "root" });
      const { snapshotId } = await first.createSnapshot();
      await first.commands.run("echo later > /tmp/state", { user: "root" });
      const [one, two] = await Promise.all([create(snapshotId), create(snapshotId)]);
      await one.commands.run("echo own > /tmp/state", { user: "root" });
      const script = "cat /tmp/state; test -e /etc/profile || echo gone; cat ~/here";
      expect((await two.commands.run(script, { user: "root" })).stdout).toBe("kept\ngone\nhome\n");
      await Promise.all([first, one, two].map((sandbox) => sandbox.kill()));
      await Sandbox.deleteSnapshot(snapshotId, server.connection);
      await expect(create(snapshotId)).rejects.toThrow("not found");
    });

    test("a sandbox whose time is over takes its command's stream along, and what follows says so", async () => {
      const sandbox = await create("base", 1_000);
      await expect(sandbox.commands.run("sleep 30")).rejects.toThrow();
      expect(await sandbox.isRunning()).toBe(false);
      await expect(sandbox.commands.run("true")).rejects.toBeInstanceOf(SandboxNotFoundError);
    });

    test("refuses past the account's sandboxes, and a wrong key", async () => {
      const more = await Promise.all([1, 2, 3, 4, 5].map(() => create()));
      await expect(create()).rejects.toThrow(/maximum number of concurrent/);
      await Promise.all(more.map((sandbox) => sandbox.kill()));
      await expect(Sandbox.create("base", { ...server.connection, apiKey: "e2b_wrong" })).rejects.toThrow(
        /Unauthorized/,
      );
    });

    test("does what a fault says: 429 of both kinds, 502, a lost answer, a cut stream", async () => {
      const at = /^POST \/sandboxes$/;
      server.faults.push({ at, times: 1, answer: TOO_MANY.requests });
      const before = server.requests.length;
      await (await create()).kill();
      expect(server.requests.slice(before).filter((line) => at.test(line))).toHaveLength(2);
      server.faults.push({ at, times: 1, answer: TOO_MANY.sandboxes });
      await expect(create()).rejects.toBeInstanceOf(RateLimitError);
      server.faults.push({ at, times: 1, answer: { status: 502, body: { code: 502, message: "bad gateway" } } });
      await expect(create()).rejects.toThrow("502");
      server.faults.push({ at, times: 1, cut: "after" });
      const count = server.sandboxes.ids.length;
      await expect(create()).rejects.toThrow();
      expect(server.sandboxes.ids).toHaveLength(count + 1);
      server.faults.push({ at: /Process\/Start$/, times: 1, cutAfterBytes: 400 });
      await expect(shared.commands.run("seq 100000; sleep 5")).rejects.toThrow();
    });
  });
}

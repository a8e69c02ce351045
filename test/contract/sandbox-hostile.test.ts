import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Backend, Sandbox, SandboxSpec } from "../../src/sandbox/sandbox.ts";
import { availableVariants, bash, eventually, newPlace, type Place, specIn } from "../support/backends.ts";
import { leftovers } from "../support/leftovers.ts";

/** Only where a sandbox isolates: nothing here may ever run beside the host's own processes. */
const isolating = (await availableVariants()).filter((variant) => variant.options.type !== "process");

describe.skipIf(isolating.length > 0)("without a backend that isolates", () => {
  test("no hostile command is tried", () => expect(isolating).toEqual([]));
});

for (const variant of isolating) {
  describe(`${variant.name}, against hostile commands`, () => {
    let place: Place;
    let backend: Backend;
    let sandbox: Sandbox;

    beforeAll(async () => {
      place = newPlace(variant);
      const hidden = "/usr/share/doc";
      backend = await openHiding(place, hidden);
      sandbox = await backend.create(specIn(place));
    });

    afterAll(async () => {
      await sandbox.dispose();
      await backend.close();
      expect(leftovers(place.stateDir, place.instance)).toEqual([]);
      await place[Symbol.asyncDispose]();
    });

    async function withSandbox(
      changes: Partial<SandboxSpec>,
      work: (sandbox: Sandbox) => Promise<void>,
    ): Promise<void> {
      const other = await backend.create(specIn(place, changes));
      try {
        await work(other);
      } finally {
        await other.dispose();
      }
    }

    async function stillServes(): Promise<void> {
      expect((await bash(sandbox, "echo alive")).stdout).toBe("alive\n");
    }

    test.each([
      ["ignores SIGTERM", "trap '' TERM INT HUP; while :; do sleep 1 & wait; done"],
      ["leaves its session", "setsid bash -c 'while :; do sleep 1; done' & setsid sleep 63 & wait"],
      ["forks twice", "( (while :; do sleep 1; done) & ) ; (setsid bash -c 'sleep 63 & sleep 63' &) ; sleep 60"],
      [
        "clears its environment and closes its descriptors",
        "exec env -i bash -c 'exec 0>&- 1>&- 2>&-; setsid sleep 63 & sleep 60'",
      ],
    ])("a command that %s is dead with its whole tree at its time-out", async (_what, script) => {
      const result = await bash(sandbox, script, { timeoutMs: 400 });
      expect(result.timedOut).toBe("command");
      expect((await bash(sandbox, "pgrep -x sleep | wc -l")).stdout.trim()).toBe("0");
    });

    test.each([
      ["kill -9 -1"],
      ["kill -STOP -1; kill -9 1; kill -STOP 1"],
      ["kill -9 $PPID"],
      ["for fd in /proc/self/fd/* /proc/1/fd/*; do echo 'D 0' > $fd; done 2>/dev/null; exec 1>&- 2>&-"],
      [
        "for pid in /proc/[0-9]*; do echo -1000 > $pid/oom_score_adj; echo x > $pid/mem; cat $pid/environ; done 2>/dev/null",
      ],
    ])("%s is a result, and the sandbox serves on", async (script) => {
      const result = await bash(sandbox, script, { timeoutMs: 2_000 });
      expect(result.exitCode ?? result.signal).toEqual(expect.any(Number));
      await stillServes();
    });

    test("a fork bomb ends at its time-out", async () => {
      await withSandbox({}, async (victim) => {
        const result = await bash(victim, "bomb() { bomb | bomb & }; bomb; sleep 60", { timeoutMs: 500 });
        expect(result.exitCode ?? result.signal).toEqual(expect.any(Number));
        await eventually("it runs commands again", async () => (await bash(victim, "echo yes")).stdout === "yes\n");
      });
    });

    test("more processes than allowed are refused", async () => {
      const script = `my $n = 0; while (1) { my $p = fork(); if (!defined $p) { print $n; kill 9, @p; exit } if (!$p) { sleep 60; exit } push @p, $p; $n++ }`;
      const result = await sandbox.exec(["perl", "-e", script], { callId: "pids", timeoutMs: 10_000 });
      const forked = Number(Buffer.concat(result.output.map((chunk) => chunk.data)).toString());
      expect(forked).toBeGreaterThan(40);
      expect(forked).toBeLessThanOrEqual(64);
    });

    test("too much memory ends the eater, and is counted", async () => {
      const result = await bash(sandbox, "tail < <(head -c 600m /dev/zero)");
      expect(result.exitCode).toBe(137);
      expect(result.oomKills).toBeGreaterThanOrEqual(1);
      expect((await bash(sandbox, "true")).oomKills).toBe(0);
    });

    test("a full disk ends the writing, not the sandbox", async () => {
      await withSandbox({ limits: { ...sandbox.limits, diskMiB: 64 } }, async (full) => {
        const result = await bash(full, "while head -c 8m /dev/zero >> eaten; do :; done", { timeoutMs: 30_000 });
        if (full.enforced.diskMiB === "HARD") {
          expect(result.exitCode).toBe(0);
          expect((await full.usage()).diskBytes).toBeLessThanOrEqual(66 * 1_048_576);
        } else {
          expect(result.signal).toBe(9);
          expect(result.note).toContain("limit of 64 MiB");
        }
        expect((await bash(full, "rm eaten && echo again > small && cat small")).stdout).toBe("again\n");
      });
    });

    test("there is no network but lo", async () => {
      const away = await bash(sandbox, "exec 3<>/dev/tcp/1.1.1.1/80");
      expect(away.stderr).toContain("Network is unreachable");
      const here = await bash(sandbox, "exec 3<>/dev/tcp/127.0.0.1/9");
      expect(here.stderr).toContain("Connection refused");
    });

    test("with the host's network come its name servers", async () => {
      await withSandbox({ network: "host" }, async (open) => {
        expect((await bash(open, "cat /etc/resolv.conf")).stdout).toBe(readFileSync("/etc/resolv.conf", "utf8"));
        const interfaces = (await bash(open, "cat /proc/net/dev")).stdout.split("\n").length;
        expect(interfaces).toBe(readFileSync("/proc/net/dev", "utf8").split("\n").length);
      });
    });

    test.each([
      ["mknod /work/disk b 8 0", /not permitted/],
      ["mount -t tmpfs none /mnt", /denied|not permitted/],
      ["umount /usr", /denied|not permitted|must be superuser/],
      ["unshare -m true", /not permitted/],
      ["unshare -U true", /not permitted/],
      ["chroot / true", /not permitted/],
      ["mount -o remount,rw /usr", /denied|not permitted/],
      ["touch /usr/bin/mine", /Read-only/],
      ["echo 1 > /proc/sys/kernel/panic", /Read-only/],
      ["echo b > /proc/sysrq-trigger", /Read-only|No such/],
      ["cat /proc/1/environ", /denied/],
      ["ls /proc/1/root/", /denied/],
      ["cat /proc/1/fd/3", /denied|No such/],
      ["readlink /proc/1/exe || echo denied >&2", /denied/],
      ["hostname mine", /permi|root/],
    ])("%s is denied", async (command, message) => {
      const result = await bash(sandbox, command);
      expect(result.exitCode === 0 && !command.includes("||")).toBe(false);
      expect(result.stderr).toMatch(message);
    });

    test("nothing of the server, of other sandboxes or of what is hidden can be seen", async () => {
      await withSandbox({}, async (other) => {
        await bash(other, "echo secret > mine");
        const paths = [place.stateDir, place.layer, process.cwd(), "/usr/share/doc/*", "/home/*", "/root/*", "/.init"];
        const seen = await bash(sandbox, `ls -d ${paths.join(" ")} 2>/dev/null; ls /sys; hostname`);
        expect(seen.stdout).toBe("sandbox\n");
        const processes = await bash(sandbox, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
        expect(processes.stdout).not.toContain("node");
        expect(processes.stdout).not.toContain(other.id);
      });
    });

    test("a command has the capabilities that are named, and cannot gain any", async () => {
      const status = (await bash(sandbox, "cat /proc/self/status")).stdout;
      // CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, KILL 5, SETGID 6, SETUID 7, NET_BIND_SERVICE 10.
      for (const set of ["CapPrm", "CapEff", "CapBnd"])
        expect(status).toMatch(new RegExp(`^${set}:\\s+0{13}4fb$`, "m"));
      expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
      expect(status).toMatch(/^Seccomp:\s+2$/m);
    });

    test("no socket but local ones, internet ones and netlink can be made, whatever the upper bits of the number say", async () => {
      const families = [40, 40 + 2 ** 32, 38, 38 + 2 ** 33, 31];
      const script = `for (${families.join(", ")}) { print syscall(${SYSCALLS.socket}, $_, 1, 0) < 0 ? "no " : "$_ " }`;
      expect((await bash(sandbox, `perl -e '${script}'`)).stdout).toBe("no ".repeat(families.length));
      const usual = [1, 2, 10].map((family) => `socket(my $s${family}, ${family}, 2, 0) ? 1 : 0`);
      expect((await bash(sandbox, `perl -e 'print ${usual.join(", ")}'`)).stdout).toBe("111");
    });

    test("a command cannot limit the sandbox's first process, and can limit itself", async () => {
      await withSandbox({}, async (victim) => {
        // No processor time: the kernel ends who has used more.
        const on = (pid: string): string => `print syscall(${SYSCALLS.prlimit64}, ${pid}, 0, $none, 0), " "`;
        const script = `$none = pack("QQ", 0, 0); ${on("1")}; ${on("1 + 2 ** 32")}; ${on("getppid")}`;
        const result = await bash(victim, `perl -e '${script}'`);
        expect(result.stdout).toBe("-1 -1 -1 ");
        await bash(victim, "for n in 1 2 3 4 5 6 7 8; do head -c 50000000 /dev/zero; done", { timeoutMs: 30_000 });
        expect(
          (await bash(victim, "ulimit -n 100; ulimit -n; prlimit --pid 1 --cpu -o SOFT --noheadings")).stdout,
        ).toBe("100\nunlimited\n");
      });
    });

    test("links and FIFOs in place of files lead nowhere", async () => {
      writeFileSync(join(place.stateDir, "outside"), "the host's");
      await bash(
        sandbox,
        `ln -s ${place.stateDir}/outside link; ln -s /etc/hostname inside; mkfifo p; ln -s p through; ln -s loop loop`,
      );
      expect((await sandbox.readFile("/work/link", { callId: "h-1" })).type).toBe("missing");
      expect(Buffer.from((await sandbox.readFile("/work/inside", { callId: "h-2" })).data).toString()).toBe(
        "sandbox\n",
      );
      expect((await sandbox.readFile("/work/through", { callId: "h-3" })).type).toBe("other");
      expect((await sandbox.readFile("/work/loop", { callId: "h-4" })).type).not.toBe("file");
      await sandbox.writeFile("/work/p", Buffer.from("x"), { callId: "h-5" });
      await sandbox.writeFile("/work/link", Buffer.from("x"), { callId: "h-6" });
      expect(readFileSync(join(place.stateDir, "outside"), "utf8")).toBe("the host's");
    });

    test("rm -rf / harms nothing outside, and the sandbox serves on", async () => {
      const before = readdirSync("/usr/bin").length;
      await withSandbox({ views: [{ of: sandbox.id, at: "/seen" }] }, async (victim) => {
        const result = await bash(victim, "rm -rf --no-preserve-root / 2>/dev/null; echo still");
        expect(result.stdout).toBe("still\n");
        // Its own links to the program folders are gone, and so is the loader: nothing starts any more, which is a result.
        expect([126, 127]).toContain((await bash(victim, "true")).exitCode);
        expect((await victim.readFile("/work/file", { callId: "gone" })).type).toBe("missing");
      });
      expect(readdirSync("/usr/bin").length).toBe(before);
      expect(existsSync(join(place.layer, "work/file"))).toBe(true);
      await stillServes();
      expect((await bash(sandbox, "ls -d folder")).stdout).toBe("folder\n");
    });

    test("folders nested deeper than a path can say are removed with the sandbox", async () => {
      let id = "";
      await withSandbox({}, async (deep) => {
        id = deep.id;
        const dig = "my $n = 'd' x 200; for (1..60) { mkdir $n or die; chdir $n or die } print 'dug'";
        const result = await deep.exec(["perl", "-e", dig], { callId: "dig", timeoutMs: 10_000 });
        expect(Buffer.concat(result.output.map((chunk) => chunk.data)).toString()).toBe("dug");
      });
      expect(await backend.list()).not.toContain(id);
    });

    test("a first process that the host ends is the fault of the host, and what is left can be removed", async () => {
      const victim = await backend.create(specIn(place));
      const running = expect(bash(victim, "sleep 60")).rejects.toMatchObject({ fault: "sandbox" });
      process.kill(pidOf(place, victim.id), "SIGKILL");
      await running;
      await expect(bash(victim, "true")).rejects.toMatchObject({ fault: "sandbox" });
      await eventually("it is dead", async () => !(await victim.alive()));
      await withSandbox({ views: [{ of: victim.id, at: "/seen" }] }, async (helper) => {
        expect((await bash(helper, "cat /seen/work/file")).stdout).toBe("from the layer\n");
      });
      await victim.dispose();
      expect(await backend.list()).not.toContain(victim.id);
    });

    test("a first process that ends because the sandbox ate its memory is the sandbox's own doing", async () => {
      await withSandbox({}, async (victim) => {
        // Eaters that the kernel likes better than the first process.
        const eat = 'open(F, ">", "/proc/self/oom_score_adj"); print F 0; close F; 1 while $x .= "x" x 1e6';
        const script = `echo 1000 > /proc/1/oom_score_adj; for n in 1 2 3; do perl -e '${eat}' & done; wait`;
        expect(await bash(victim, script, { timeoutMs: 20_000 })).toMatchObject({
          signal: 9,
          note: expect.stringContaining("ran out of its"),
        });
        expect(await victim.alive()).toBe(false);
      });
    });

    test("binds are read-only, and a root file system can be a folder of the host", async () => {
      const root = join(place.stateDir, "unpacked");
      for (const name of ["usr", "proc", "dev", "tmp", "etc", "seen"]) mkdirSync(join(root, name), { recursive: true });
      const links = ["bin", "lib", "lib64"].map((name) => ({ source: `/usr/${name}`, target: `/${name}` }));
      const binds = [{ source: "/usr", target: "/usr" }, ...links, { source: place.layer, target: "/seen/here" }];
      await withSandbox({ rootfs: { type: "directory", path: root }, binds, workdir: "/" }, async (other) => {
        const result = await bash(other, "echo x > /seen/here/work/file || cat /seen/here/work/file; ls /etc");
        expect([result.stdout, result.stderr]).toEqual(["from the layer\n", expect.stringContaining("Read-only")]);
      });
    });
  });
}

async function openHiding(place: Place, hidden: string): Promise<Backend> {
  const { openBackend } = await import("../../src/sandbox/open.ts");
  return await openBackend({ ...place.options, hide: [hidden] });
}

function pidOf(place: Place, id: string): number {
  const record: unknown = JSON.parse(readFileSync(join(place.stateDir, "sandboxes", id, "sandbox.json"), "utf8"));
  return (record as { identity: { pid: number } }).identity.pid;
}

const SYSCALLS = process.arch === "arm64" ? { socket: 198, prlimit64: 261 } : { socket: 41, prlimit64: 302 };

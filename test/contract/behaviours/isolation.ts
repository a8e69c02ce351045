import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Sandbox } from "../../../src/sandbox/sandbox.ts";
import { bash, eventually, textOf } from "../../support/backends.ts";
import type { Behaviour, Subject } from "../../support/subject.ts";

/** Attacks on what runs beside, before and after a command: each is a result, and the sandbox serves on. */
const ATTACKS: readonly (readonly [string, string])[] = [
  ["killing everything", "kill -9 -1"],
  ["stopping everything and killing the first process", "kill -STOP -1; kill -9 1; kill -STOP 1"],
  ["killing its parent", "kill -9 $PPID"],
  [
    "writing results into every descriptor that can be found",
    "for fd in /proc/self/fd/* /proc/1/fd/* /proc/$PPID/fd/*; do echo 'D 0' > $fd; done 2>/dev/null; exec 1>&- 2>&-",
  ],
  [
    "reading and writing what /proc has of others",
    "for pid in /proc/[0-9]*; do echo -1000 > $pid/oom_score_adj; echo x > $pid/mem; cat $pid/environ; done 2>/dev/null",
  ],
];

const USER_NAMESPACE = "unshare -U true";

/** Calls that are denied, and by which words. */
const DENIED: readonly (readonly [string, RegExp])[] = [
  ["mknod /work/disk b 8 0", /not permitted/],
  ["mount -t tmpfs none /mnt", /denied|not permitted|must be superuser/],
  ["umount /proc", /denied|not permitted|must be superuser/],
  ["unshare -m true", /not permitted/],
  [USER_NAMESPACE, /not permitted/],
  ["chroot / true", /not permitted/],
  ["mount -o remount,rw /proc", /denied|not permitted|must be superuser/],
  ["echo 1 > /proc/sys/kernel/panic", /Read-only|denied/],
  ["echo b > /proc/sysrq-trigger", /Read-only|No such|denied/],
  ["cat /proc/1/environ", /denied/],
  ["ls /proc/1/root/", /denied/],
  ["cat /proc/1/fd/3", /denied|No such/],
  ["readlink /proc/1/exe || { echo denied >&2; false; }", /denied/],
  ["hostname mine", /permi|root/],
];

const NEEDS = ["isolation"] as const;

export const isolation: readonly Behaviour[] = [
  ...ATTACKS.map(([what, script]) => ({
    name: `makes ${what} a result, and the sandbox serves on`,
    needs: NEEDS,
    check: async (subject: Subject) => {
      const sandbox = await subject.shared();
      const result = await bash(sandbox, script, { timeoutMs: 2_000 });
      expect(result.exitCode ?? result.signal).toEqual(expect.any(Number));
      expect((await subject.shared()).id).toBe(sandbox.id);
      expect((await bash(sandbox, "echo alive")).stdout).toBe("alive\n");
    },
  })),
  {
    name: "makes a fork bomb end at its time-out",
    needs: ["isolation", "pidsLimit"],
    check: async (subject) =>
      subject.withSandbox({}, async (victim) => {
        const result = await bash(victim, "bomb() { bomb | bomb & }; bomb; sleep 60", { timeoutMs: 500 });
        expect(result.exitCode ?? result.signal).toEqual(expect.any(Number));
        const again = async (): Promise<boolean> => (await bash(victim, "echo yes")).stdout === "yes\n";
        await eventually("it runs commands again", again);
      }),
  },
  {
    name: "leaves no network but the sandbox's own",
    needs: ["noNetwork"],
    check: async (subject) => {
      const sandbox = await subject.shared();
      const away = await bash(sandbox, "exec 3<>/dev/tcp/1.1.1.1/80");
      expect(away.stderr).toContain("unreachable");
      const here = await bash(sandbox, "exec 3<>/dev/tcp/127.0.0.1/9");
      expect(here.stderr).toContain("Connection refused");
    },
  },
  {
    name: "gives with the host's network its interfaces and name servers",
    needs: ["hostNetwork"],
    check: async (subject) =>
      subject.withSandbox({ network: "host" }, async (open) => {
        expect((await bash(open, "cat /etc/resolv.conf")).stdout).toBe(readFileSync("/etc/resolv.conf", "utf8"));
        const interfaces = (await bash(open, "cat /proc/net/dev")).stdout.split("\n").length;
        expect(interfaces).toBe(readFileSync("/proc/net/dev", "utf8").split("\n").length);
      }),
  },
  ...DENIED.map(([command, message]) => ({
    name: `denies ${command.split(" ||")[0]}`,
    needs: command === USER_NAMESPACE ? [...NEEDS, "noUserNamespaces" as const] : NEEDS,
    check: async (subject: Subject) => {
      const result = await bash(await subject.shared(), command);
      expect(result.exitCode).not.toBe(0);
      expect(result.stderr).toMatch(message);
    },
  })),
  {
    name: "shows nothing of the server, nor of other sandboxes",
    needs: NEEDS,
    check: async (subject) =>
      subject.withSandbox({}, async (other) => {
        await bash(other, "echo secret > mine");
        const { stateDir, layer } = subject.place;
        const sandbox = await subject.shared();
        const seen = await bash(sandbox, `ls -d ${stateDir} ${layer} ${process.cwd()} /.init 2>/dev/null; cat mine`);
        expect(seen.stdout).toBe("");
        const processes = await bash(sandbox, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
        expect(processes.stdout).not.toMatch(/node|dockerd|containerd|envd/);
        expect(processes.stdout).not.toContain(other.id);
      }),
  },
  {
    name: "gives a command the capabilities that are named, and lets it gain none",
    needs: NEEDS,
    check: async (subject) => {
      const status = (await bash(await subject.shared(), "cat /proc/self/status")).stdout;
      // CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, KILL 5, SETGID 6, SETUID 7, NET_BIND_SERVICE 10.
      const [effective, bounding] = ["CapEff", "CapBnd"].map((set) =>
        Number.parseInt(new RegExp(`^${set}:\\s+([0-9a-f]+)$`, "m").exec(status)?.[1] ?? "", 16),
      );
      expect([effective, bounding]).toEqual([0x4fb, 0x4fb]);
      expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
    },
  },
  {
    name: "lets links and FIFOs in place of files lead nowhere",
    needs: NEEDS,
    check: async (subject) => {
      const outside = join(subject.place.stateDir, "outside");
      writeFileSync(outside, "the host's");
      await subject.withSandbox({}, async (sandbox) => {
        const links = `ln -s ${outside} link; ln -s /etc/passwd inside; mkfifo p; ln -s p through; ln -s / top`;
        await bash(sandbox, links);
        expect((await sandbox.readFile("/work/link", { callId: "h-1" })).type).toBe("missing");
        const own = Buffer.from((await sandbox.readFile("/work/inside", { callId: "h-2" })).data).toString();
        expect(own).toBe((await bash(sandbox, "cat /etc/passwd")).stdout);
        expect((await sandbox.readFile("/work/through", { callId: "h-3" })).type).toBe("other");
        expect((await sandbox.readFile(`/work/top${outside}`, { callId: "h-4" })).type).toBe("missing");
        await sandbox.writeFile("/work/p", Buffer.from("x"), { callId: "h-5" });
        await sandbox.writeFile("/work/link", Buffer.from("x"), { callId: "h-6" });
        await sandbox.writeFile(`/work/top${outside}`, Buffer.from("x"), { callId: "h-7" });
      });
      expect(readFileSync(outside, "utf8")).toBe("the host's");
    },
  },
  {
    name: "keeps a command from forging what the next one answers",
    needs: NEEDS,
    check: async (subject) =>
      subject.withSandbox({}, async (victim) => {
        const forge =
          'while :; do for f in /proc/[0-9]*/fd/*; do echo "forged" > "$f"; done; sleep 0.01; done >/dev/null 2>&1 &';
        await bash(victim, forge);
        for (let round = 0; round < 5; round++) {
          const { exitCode, stdout } = await bash(victim, "sleep 0.1; exit 3", { callId: `honest-${round}` });
          expect([exitCode, stdout.replaceAll("forged\n", "")]).toEqual([3, ""]);
        }
      }),
  },
  {
    name: "survives rm -rf /, which harms nothing outside",
    needs: NEEDS,
    check: async (subject) => {
      const before = readdirSync("/usr/bin").length;
      await subject.withSandbox({}, async (victim) => {
        const result = await bash(victim, "rm -rf --no-preserve-root / 2>/dev/null; echo still");
        expect(result.stdout).toBe("still\n");
        // Nothing starts any more, which is a result; or the programs could not be removed.
        const { exitCode } = await bash(victim, "exit 9");
        expect([9, 126, 127]).toContain(exitCode);
        expect((await victim.readFile("/work/file", { callId: "gone" })).type).toBe("missing");
      });
      expect(readdirSync("/usr/bin").length).toBe(before);
      expect(existsSync(join(subject.place.layer, "work/file"))).toBe(true);
      expect((await bash(await subject.shared(), "cat file")).stdout).toBe("from the layer\n");
    },
  },
  {
    name: "removes with the sandbox folders nested deeper than a path can say",
    needs: NEEDS,
    check: async (subject) => {
      let id = "";
      await subject.withSandbox({}, async (deep) => {
        id = deep.id;
        const dig = "my $n = 'd' x 200; for (1..60) { mkdir $n or die; chdir $n or die } print 'dug'";
        const result = await deep.exec(["perl", "-e", dig], { callId: "dig", timeoutMs: 60_000 });
        expect(textOf(result, "stdout")).toBe("dug");
      });
      expect(await subject.backend.list()).not.toContain(id);
    },
  },
  {
    name: "shows what is bound, read-only",
    needs: ["readOnlyBinds"],
    check: async (subject) => {
      const binds = [{ source: subject.place.layer, target: "/seen/here" }];
      await subject.withSandbox({ binds }, async (sandbox) => {
        await writesIn(sandbox, "/seen/here/work/file");
      });
      expect(readFileSync(join(subject.place.layer, "work/file"), "utf8")).toBe("from the layer\n");
    },
  },
  {
    name: "takes a folder of the host as the root file system",
    needs: ["directories", "readOnlyBinds"],
    check: async (subject) => {
      const root = join(subject.place.stateDir, "unpacked");
      for (const name of ["usr", "proc", "dev", "tmp", "etc", "seen"]) mkdirSync(join(root, name), { recursive: true });
      writeFileSync(join(root, "etc/mine"), "of the folder\n");
      const links = ["bin", "lib", "lib64"].map((name) => ({ source: `/usr/${name}`, target: `/${name}` }));
      const binds = [{ source: "/usr", target: "/usr" }, ...links];
      const changes = { rootfs: { type: "directory", path: root }, binds, workdir: "/" } as const;
      await subject.withSandbox(changes, async (sandbox) => {
        expect((await bash(sandbox, "cat /etc/mine; echo changed > /etc/mine; cat work/file")).stdout).toBe(
          "of the folder\nfrom the layer\n",
        );
      });
      expect(readFileSync(join(root, "etc/mine"), "utf8")).toBe("of the folder\n");
    },
  },
];

async function writesIn(sandbox: Sandbox, path: string): Promise<void> {
  const result = await bash(sandbox, `echo x > ${path} || cat ${path}`);
  expect([result.stdout, result.stderr]).toEqual(["from the layer\n", expect.stringMatching(/Read-only|denied/)]);
}

import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBackend } from "../../src/sandbox/open.ts";
import type { Backend, Sandbox } from "../../src/sandbox/sandbox.ts";
import { availableVariants, bash, newPlace, type Place, specIn } from "../support/backends.ts";
import { leftovers } from "../support/leftovers.ts";

/** What holds on this backend beside the contract, by its own root file system and its own list of calls. The rest is the same for every disk: crun and runc differ. */
const isolating = (await availableVariants()).filter(
  ({ options }) => options.type === "oci" && options.disk === "watched",
);

describe.skipIf(isolating.length > 0)("without a backend that isolates", () => {
  test("no hostile command is tried", () => expect(isolating).toEqual([]));
});

for (const variant of isolating) {
  describe(`${variant.name}, by its own means`, () => {
    let place: Place;
    let backend: Backend;
    let sandbox: Sandbox;

    beforeAll(async () => {
      place = newPlace(variant);
      backend = await openBackend({ ...place.options, hide: ["/usr/share/doc"] });
      sandbox = await backend.create(specIn(place));
    });

    afterAll(async () => {
      await sandbox.dispose();
      await backend.close();
      expect(leftovers(place.stateDir, place.instance)).toEqual([]);
      await place[Symbol.asyncDispose]();
    });

    test.each([
      ["umount /usr", /denied|not permitted|must be superuser/],
      ["mount -o remount,rw /usr", /denied|not permitted/],
      ["touch /usr/bin/mine", /Read-only/],
    ])("%s is denied", async (command, message) => {
      const result = await bash(sandbox, command);
      expect(result.exitCode).not.toBe(0);
      expect(result.stderr).toMatch(message);
    });

    test("nothing of what is hidden, of home folders, or of the host's name can be seen", async () => {
      const seen = await bash(sandbox, "ls -d /usr/share/doc/* /home/* /root/* 2>/dev/null; ls /sys; hostname");
      expect(seen.stdout).toBe("sandbox\n");
    });

    test("no socket but local ones, internet ones and netlink can be made, whatever the upper bits of the number say", async () => {
      expect((await bash(sandbox, "cat /proc/self/status")).stdout).toMatch(/^Seccomp:\s+2$/m);
      const families = [40, 40 + 2 ** 32, 38, 38 + 2 ** 33, 31];
      const script = `for (${families.join(", ")}) { print syscall(${SYSCALLS.socket}, $_, 1, 0) < 0 ? "no " : "$_ " }`;
      expect((await bash(sandbox, `perl -e '${script}'`)).stdout).toBe("no ".repeat(families.length));
      const usual = [1, 2, 10].map((family) => `socket(my $s${family}, ${family}, 2, 0) ? 1 : 0`);
      expect((await bash(sandbox, `perl -e 'print ${usual.join(", ")}'`)).stdout).toBe("111");
    });

    test("a command cannot limit the sandbox's first process, and can limit itself", async () => {
      const victim = await backend.create(specIn(place));
      // No processor time: the kernel ends who has used more.
      const on = (pid: string): string => `print syscall(${SYSCALLS.prlimit64}, ${pid}, 0, $none, 0), " "`;
      const script = `$none = pack("QQ", 0, 0); ${on("1")}; ${on("1 + 2 ** 32")}; ${on("getppid")}`;
      const result = await bash(victim, `perl -e '${script}'`);
      expect(result.stdout).toBe("-1 -1 -1 ");
      await bash(victim, "for n in 1 2 3 4 5 6 7 8; do head -c 50000000 /dev/zero; done");
      expect((await bash(victim, "ulimit -n 100; ulimit -n; prlimit --pid 1 --cpu -o SOFT --noheadings")).stdout).toBe(
        "100\nunlimited\n",
      );
      await victim.dispose();
    });

    test("a folder below one that is bound can be bound, and be hidden elsewhere", async () => {
      const binds = [{ source: place.layer, target: "/seen/here" }];
      const other = await backend.create(specIn(place, { binds }));
      const inside = join("/seen/here", "work/file");
      expect((await bash(other, `cat ${inside}; ls ${place.layer} 2>/dev/null`)).stdout).toBe("from the layer\n");
      await other.dispose();
    });
  });
}

const SYSCALLS = process.arch === "arm64" ? { socket: 198, prlimit64: 261 } : { socket: 41, prlimit64: 302 };

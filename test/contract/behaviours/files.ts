import { expect } from "vitest";
import { bash } from "../../support/backends.ts";
import type { Behaviour } from "../../support/subject.ts";

const MiB = 1_048_576;

export const files: readonly Behaviour[] = [
  {
    name: "of 50 MiB is written and read back",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const data = Buffer.alloc(50 * MiB, "sandlot ");
      expect(await sandbox.writeFile("/work/new/deep/large", data, { callId: "w-large" })).toEqual({});
      const { type, sizeBytes, data: read } = await sandbox.readFile("/work/new/deep/large", { callId: "r-large" });
      expect([type, sizeBytes, data.equals(read)]).toEqual(["file", data.length, true]);
      sandbox.acknowledge("r-large");
      await bash(sandbox, "rm -r new");
    },
  },
  {
    name: "is read as far as asked, and its size is told",
    check: async (subject) => {
      const read = await (await subject.shared()).readFile("/work/file", { callId: "r-some", maxBytes: 4 });
      expect([read.sizeBytes, Buffer.from(read.data).toString()]).toEqual([15, "from"]);
    },
  },
  {
    name: "is read from where it is asked",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const read = await sandbox.readFile("/work/file", { callId: "r-rest", offset: 5, maxBytes: 3 });
      expect([read.sizeBytes, Buffer.from(read.data).toString()]).toEqual([15, "the"]);
      const beyond = await sandbox.readFile("/work/file", { callId: "r-beyond", offset: 15 });
      expect([beyond.type, beyond.data.length]).toEqual(["file", 0]);
    },
  },
  {
    name: "keeps the mode it is written with",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const program = Buffer.from("#!/bin/sh\necho ran\n");
      await sandbox.writeFile("/work/script", program, { callId: "w-mode", mode: 0o755 });
      expect((await bash(sandbox, "./script")).stdout).toBe("ran\n");
    },
  },
  {
    name: "belongs to whom commands run as",
    check: async (subject) => {
      const sandbox = await subject.shared();
      await sandbox.writeFile("/work/owned/mine", Buffer.from("x"), { callId: "w-owned" });
      const { stdout } = await bash(sandbox, "id -u; stat -c %u owned/mine owned");
      const [user, ...owners] = stdout.trim().split("\n");
      expect(owners).toEqual([user, user]);
    },
  },
  {
    name: "of any bytes, or of none, comes back as it was written",
    check: async (subject) => {
      const sandbox = await subject.shared();
      for (const data of [Buffer.from(Array.from({ length: 256 }, (_, at) => at)), Buffer.alloc(0)]) {
        const callId = `bytes-${data.length}`;
        await sandbox.writeFile("/work/bytes", data, { callId });
        const read = await sandbox.readFile("/work/bytes", { callId: `r-${callId}` });
        expect([read.sizeBytes, Buffer.from(read.data).equals(data)]).toEqual([data.length, true]);
      }
    },
  },
  {
    name: "that is written again is replaced as a whole",
    check: async (subject) => {
      const sandbox = await subject.shared();
      await sandbox.writeFile("/work/twice", Buffer.from("long before"), { callId: "w-first" });
      await sandbox.writeFile("/work/twice", Buffer.from("short"), { callId: "w-second" });
      expect((await bash(sandbox, "cat twice")).stdout).toBe("short");
    },
  },
  {
    name: "may have any name",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const names = ["with blank", "-dash", "ünïcode", "quote's\"", "line\nbreak", "$HOME", "*", "\\"];
      for (const [at, name] of names.entries()) {
        const path = `/work/names/${name}`;
        expect(await sandbox.writeFile(path, Buffer.from(name), { callId: `w-name-${at}` })).toEqual({});
        const read = await sandbox.readFile(path, { callId: `r-name-${at}` });
        expect(Buffer.from(read.data).toString()).toBe(name);
      }
      expect((await bash(sandbox, "find names -type f -print0 | tr -dc '\\0' | wc -c")).stdout.trim()).toBe("8");
    },
  },
  {
    name: "that is absent, a folder or a FIFO is told as such and never blocks",
    check: async (subject) => {
      const sandbox = await subject.shared();
      await bash(sandbox, "mkfifo pipe; mkdir -p listed/sub; touch listed/plain");
      expect((await sandbox.readFile("/work/absent", { callId: "r-1" })).type).toBe("missing");
      expect((await sandbox.readFile("/work/pipe", { callId: "r-2" })).type).toBe("other");
      const folder = await sandbox.readFile("/work/listed", { callId: "r-3" });
      expect(folder.type).toBe("directory");
      expect(Buffer.from(folder.data).toString().trim().split("\n").sort()).toEqual(["plain", "sub/"]);
    },
  },
  {
    name: "behind a link is read and written as its target; behind links that lead nowhere there is none",
    check: async (subject) => {
      const sandbox = await subject.shared();
      await bash(sandbox, "echo target > real; ln -s real good; ln -s nowhere/at/all bad; ln -s round round");
      expect(Buffer.from((await sandbox.readFile("/work/good", { callId: "l-1" })).data).toString()).toBe("target\n");
      expect((await sandbox.readFile("/work/bad", { callId: "l-2" })).type).toBe("missing");
      expect((await sandbox.readFile("/work/round", { callId: "l-3" })).type).not.toBe("file");
    },
  },
  {
    name: "can be given to another user",
    needs: ["owners"],
    check: async (subject) => {
      const script = "touch given; chown 1234:2345 given; stat -c %u:%g given; rm given";
      expect((await bash(await subject.shared(), script)).stdout).toBe("1234:2345\n");
    },
  },
  {
    name: "or folder of a layer can be renamed, and what lies in it comes along",
    needs: ["folderRenames"],
    check: async (subject) =>
      subject.withSandbox({}, async (sandbox) => {
        const rename = "rename('folder', 'moved') and rename('file', 'moved/file') or die $!";
        expect((await bash(sandbox, `perl -e "${rename}" && ls . moved`)).stdout).toBe(
          ".:\nmoved\n\nmoved:\nfile\nother\n",
        );
      }),
  },
  {
    name: "that cannot be written is answered with words",
    check: async (subject) => {
      const sandbox = await subject.shared();
      for (const path of ["/work/file/below", "/work/folder"]) {
        const { failure } = await sandbox.writeFile(path, Buffer.from("x"), { callId: `w-bad-${path.length}` });
        expect(failure).toMatch(/\w+/);
      }
    },
  },
  {
    name: "is read and written beside others, and beside commands",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const busy = bash(sandbox, "until [ -e all-written ]; do sleep 0.02; done; ls many | wc -l; rm all-written");
      const each = Array.from({ length: 12 }, async (_, at) => {
        const data = Buffer.alloc(200_000, String.fromCharCode(65 + at));
        await sandbox.writeFile(`/work/many/${at}`, data, { callId: `w-many-${at}` });
        const read = await sandbox.readFile(`/work/many/${at}`, { callId: `r-many-${at}` });
        return data.equals(read.data);
      });
      expect(await Promise.all(each)).toEqual(Array.from({ length: 12 }, () => true));
      await bash(sandbox, "touch all-written");
      expect((await busy).stdout.trim()).toBe("12");
    },
  },
  {
    name: "by a relative path or one with a NUL byte is refused as invalid",
    check: async (subject) => {
      const sandbox = await subject.shared();
      for (const path of ["work/file", "/work/f\0ile"]) {
        await expect(sandbox.readFile(path, { callId: "p" })).rejects.toMatchObject({ fault: "invalid" });
        const writing = sandbox.writeFile(path, Buffer.from("x"), { callId: "p" });
        await expect(writing).rejects.toMatchObject({ fault: "invalid" });
      }
    },
  },
];

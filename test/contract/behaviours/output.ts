import { expect } from "vitest";
import { bash, eventually } from "../../support/backends.ts";
import type { Behaviour } from "../../support/subject.ts";

const MiB = 1_048_576;
const LARGE = `head -c ${100 * MiB} /dev/zero | tr '\\0' x`;

export const output: readonly Behaviour[] = [
  {
    name: "keeps stdout and stderr apart, and their order of arrival",
    check: async (subject) => {
      const sandbox = await subject.shared();
      let heard = 0;
      const wait = (at: number): string => `until [ -e next-${at} ]; do sleep 0.02; done; rm next-${at}`;
      const telling = bash(sandbox, `echo one; ${wait(1)}; echo two >&2; ${wait(2)}; echo three`, {
        onOutput: () => {
          heard += 1;
        },
      });
      for (const at of [1, 2]) {
        await eventually(`${at} of three lines arrived`, () => heard === at);
        await bash(sandbox, `touch next-${at}`);
      }
      const result = await telling;
      expect(result.stdout).toBe("one\nthree\n");
      expect(result.stderr).toBe("two\n");
      expect(result.output.map((chunk) => chunk.stream)).toEqual(["stdout", "stderr", "stdout"]);
    },
  },
  {
    name: "of both streams in quick turns is whole in each",
    check: async (subject) => {
      const script = "for n in $(seq 1 500); do echo out $n; echo err $n >&2; done";
      const result = await bash(await subject.shared(), script);
      const lines = (word: string): string => Array.from({ length: 500 }, (_, at) => `${word} ${at + 1}\n`).join("");
      expect([result.stdout, result.stderr]).toEqual([lines("out"), lines("err")]);
      expect(result.outputBytes).toBe(result.stdout.length + result.stderr.length);
      let end = 0;
      for (const { offset, data } of result.output) {
        expect(offset).toBe(end);
        end += data.length;
      }
    },
  },
  {
    name: "is told while the command runs",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const seen: string[] = [];
      const told = bash(sandbox, "echo early; sleep 30", {
        callId: "live",
        onOutput: (chunk) => seen.push(Buffer.from(chunk.data).toString()),
      });
      await eventually("the output was told", () => seen.join("") === "early\n");
      await sandbox.interrupt("live");
      expect((await told).interrupted).toBe(true);
    },
  },
  {
    name: "is told to all who ask for the same call, also what was printed before",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const seen = ["", ""];
      const ask = (at: number): Promise<unknown> =>
        bash(sandbox, "echo one; until [ -e go-on ]; do sleep 0.02; done; echo two; rm go-on", {
          callId: "both",
          onOutput: ({ data }) => {
            seen[at] += Buffer.from(data).toString();
          },
        });
      const first = ask(0);
      await eventually("the first saw it", () => seen[0] === "one\n");
      const second = ask(1);
      await eventually("the second saw it", () => seen[1] === "one\n");
      await bash(sandbox, "touch go-on");
      await Promise.all([first, second]);
      expect(seen).toEqual(["one\ntwo\n", "one\ntwo\n"]);
    },
  },
  {
    name: "is bytes as they are",
    check: async (subject) => {
      const result = await bash(await subject.shared(), "printf '\\0\\377\\n\\200x\\r\\n\\033[0m\\303'");
      const bytes = Buffer.concat(result.output.map((chunk) => chunk.data));
      expect(bytes.toString("latin1")).toBe("\0\xff\n\x80x\r\n\x1b[0m\xc3");
    },
  },
  {
    name: "of 100 MiB is drained to its end, and head and tail are kept",
    check: async (subject) => {
      const result = await bash(await subject.shared(), `echo first; ${LARGE}; echo; echo last`, {
        timeoutMs: 170_000,
      });
      expect(result.exitCode).toBe(0);
      expect(result.outputBytes).toBe(100 * MiB + "first\n\nlast\n".length);
      expect(result.truncated).toBe(true);
      expect(result.stdout.length).toBeLessThanOrEqual(MiB);
      expect(result.stdout.startsWith("first\nxxx")).toBe(true);
      expect(result.stdout.endsWith("xxx\nlast\n")).toBe(true);
    },
  },
  {
    name: "of 100 MiB does not gather in a server that is slow to take it",
    check: async (subject) => {
      let most = 0;
      const before = process.memoryUsage.rss();
      const slowly = (): void => {
        const until = performance.now() + 2;
        while (performance.now() < until);
        most = Math.max(most, process.memoryUsage.rss());
      };
      const options = { keepBytes: 65_536, timeoutMs: 170_000, onOutput: slowly };
      const result = await bash(await subject.shared(), LARGE, options);
      expect(result.outputBytes).toBe(100 * MiB);
      expect((most - before) / MiB).toBeLessThan(50);
    },
  },
  {
    name: "beyond what is kept is spilled into a file inside",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const result = await bash(sandbox, "seq 1 200000", { keepBytes: 4_096, spillBytes: 16 * MiB });
      expect(result.truncated).toBe(true);
      expect(result.stdout.length).toBeLessThanOrEqual(4_096);
      const counted = await bash(sandbox, `wc -l < ${result.spillPath}`);
      expect(counted.stdout.trim()).toBe("200000");
    },
  },
  {
    name: "is spilled no further than allowed",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const result = await bash(sandbox, "seq 1 200000", { keepBytes: 4_096, spillBytes: 65_536 });
      expect(result.outputBytes).toBe(1_288_895);
      const size = Number((await bash(sandbox, `wc -c < ${result.spillPath}`)).stdout);
      expect(size).toBeGreaterThan(0);
      expect(size).toBeLessThanOrEqual(65_536);
    },
  },
  {
    name: "that fits leaves no file",
    check: async (subject) => {
      const result = await bash(await subject.shared(), "echo small", { spillBytes: MiB });
      expect([result.spillPath, result.truncated]).toEqual([undefined, false]);
    },
  },
  {
    name: "may end before the command does",
    check: async (subject) => {
      const result = await bash(await subject.shared(), "echo last; exec 1>&- 2>&-; sleep 0.2; exit 3");
      expect(result).toMatchObject({ exitCode: 3, stdout: "last\n" });
    },
  },
];

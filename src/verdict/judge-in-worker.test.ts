import { afterEach, describe, expect, it } from "vitest";
import { isFault } from "../errors.ts";
import { Judge, type JudgeLimits } from "./judge-in-worker.ts";
import { END, START } from "./swebench-log.ts";
import type { Expectation } from "./verdict.ts";

const MIB = 1024 * 1024;
const open: Judge[] = [];
afterEach(() => Promise.all(open.splice(0).map((judge) => judge.close())));

function newJudge(limits?: Partial<JudgeLimits>): Judge {
  const judge = new Judge(limits);
  open.push(judge);
  return judge;
}

function expectation(parser: string): Expectation {
  return { rule: "swebench@5.0.2", parser, evalType: "pass_and_fail", failToPass: ["a"], passToPass: [] };
}

function log(body: string): Uint8Array {
  return Buffer.from(`${START}\n${body}\n${END}\n`);
}

describe("judging in a worker", () => {
  it("gives the verdict of the rule", async () => {
    const judgement = await newJudge().judge(log("PASSED a\nPASSED b"), expectation("parse_log_pytest"));
    expect(judgement).toMatchObject({
      kind: "verdict",
      verdict: {
        found: true,
        resolved: true,
        statuses: [
          ["a", "PASSED"],
          ["b", "PASSED"],
        ],
      },
    });
  });

  it("answers many logs in turn with few workers", async () => {
    const judge = newJudge({ workers: 2 });
    const asked = Array.from({ length: 20 }, (_, index) =>
      judge.judge(log(index % 2 === 0 ? "PASSED a" : "FAILED a"), expectation("parse_log_pytest")),
    );
    const resolved = (await Promise.all(asked)).map((got) => got.kind === "verdict" && got.verdict.resolved);
    expect(resolved).toEqual(asked.map((_, index) => index % 2 === 0));
  });

  it("reads a log that lies in shared memory", async () => {
    const bytes = log("PASSED a");
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    shared.set(bytes);
    const judgement = await newJudge().judge(shared, expectation("parse_log_pytest"));
    expect(judgement).toMatchObject({ kind: "verdict", verdict: { resolved: true } });
  });

  it.each([
    ...["parse_log_sympy", "parse_log_django", "parse_log_pytest_v2", "parse_log_pydicom", "unittest", "node_test"],
    ...["parse_log_p5js", "parse_log_eslint", "parse_log_doctest", "parse_log_googletest", "parse_log_vitest"],
  ])("judges 64 MiB of underscores with %s in seconds, and leaves the event loop free", async (parser) => {
    const bytes = Buffer.concat([log("x"), Buffer.alloc(64 * MIB, "_"), log("y")]);
    let beats = 0;
    const pulse = setInterval(() => (beats += 1), 5);
    const started = performance.now();
    const judgement = await newJudge().judge(bytes, expectation(parser));
    const tookMs = performance.now() - started;
    clearInterval(pulse);
    expect(judgement).toMatchObject({ kind: "verdict", verdict: { resolved: false } });
    expect(tookMs).toBeLessThan(120_000); // the official pattern takes hours
    expect(beats).toBeGreaterThan(0); // none would fit in, were it judged on this thread
  });

  it.each([
    ["line feeds", "\n"],
    ["carriage returns", "\r"],
    ["letters that take two bytes", "é"],
    ["white space", "\u3000 "],
  ])("judges 64 MiB of %s in bounded memory", async (_, flood) => {
    const bytes = Buffer.concat([Buffer.alloc(64 * MIB, flood), log("PASSED a")]);
    const judgement = await newJudge({ memoryMiB: 512 }).judge(bytes, expectation("parse_log_pytest"));
    expect(judgement).toMatchObject({ kind: "verdict", verdict: { resolved: true } });
  });

  it.each([
    ["blocks", "<a></a>".repeat(MIB)],
    ["blocks within blocks", "<a>".repeat(MIB) + "</a>".repeat(MIB)],
    ["numbers without a colon", `${" 1)\n".repeat(MIB)}:`],
    ["tags without an end", Array.from({ length: MIB }, (_, index) => `<a${index}>`).join("")],
  ])(
    "is done with %s in a log of p5.js in time",
    async (_, xml) => {
      const judge = newJudge({ deadlineMs: 30_000 });
      expect(await judge.judge(log(xml), expectation("parse_log_p5js"))).toMatchObject({ kind: "verdict" });
    },
    60_000,
  );

  it("gives up a log at the deadline, and judges the next one", async () => {
    const judge = newJudge({ deadlineMs: 1 });
    const slow = await judge.judge(Buffer.alloc(16 * MIB, "PASSED a\n"), expectation("parse_log_pytest"));
    expect(slow).toEqual({ kind: "over_limit", reason: "no verdict on the log within 1 ms" });
    const patient = newJudge();
    expect(await patient.judge(log("PASSED a"), expectation("parse_log_pytest"))).toMatchObject({ kind: "verdict" });
  });

  it("gives up a log that needs too much memory, and judges the next one", async () => {
    const judge = newJudge({ memoryMiB: 64 });
    const lines = Array.from({ length: 2_000_000 }, (_, index) => `PASSED test_number_${index}`).join("\n");
    const large = await judge.judge(log(lines), expectation("parse_log_pytest"));
    expect(large).toMatchObject({ kind: "over_limit", reason: expect.stringContaining("64 MiB") });
    expect(await judge.judge(log("PASSED a"), expectation("parse_log_pytest"))).toMatchObject({ kind: "verdict" });
  });

  it("blames the task for a parser that does not exist", async () => {
    const failure = await newJudge()
      .judge(log("x"), expectation("parse_log_nothing"))
      .catch((error: unknown) => error);
    expect(isFault(failure, "task")).toBe(true);
  });

  it("stops when its signal says so", async () => {
    const stop = new AbortController();
    const asked = newJudge().judge(Buffer.alloc(16 * MIB, "PASSED a\n"), expectation("parse_log_pytest"), stop.signal);
    stop.abort(new Error("no longer wanted"));
    await expect(asked).rejects.toThrow("no longer wanted");
  });
});

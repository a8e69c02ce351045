import { expect, test } from "vitest";
import { effectiveLimits, type LimitRange } from "./creation.ts";

const some = { maxSteps: 10, maxTurns: 10, wallMs: 10, commandMs: 10, noOutputMs: 10, outputBytes: 10 };
const all = (one: number) => ({ ...some, memoryMiB: one, cpuMilli: one, pids: one, diskMiB: one, gradeMs: one });
const least = { ...all(16), maxSteps: 1, maxTurns: 1, wallMs: 1, commandMs: 1, noOutputMs: 0, outputBytes: 1 };
const range: LimitRange = { defaults: all(50), least, most: all(100) };

test("what a client does not ask for is the default", () => {
  expect(effectiveLimits({ memoryMiB: 64 }, range)).toEqual({ ...range.defaults, memoryMiB: 64 });
  expect(effectiveLimits({ memoryMiB: 0 }, range)).toEqual(range.defaults);
});

test.each([
  [{ memoryMiB: 15 }, "limits.memory_mib: expected at least 16, which the runner and a shell need, got 15"],
  [{ pids: 1 }, "limits.pids: expected at least 16, which the runner and a shell need, got 1"],
  [{ diskMiB: 101 }, "limits.disk_mib: expected at most 100 (limits.most.disk_mib), got 101"],
])("%j is refused with the bound that it oversteps", (asked, message) => {
  expect(() => effectiveLimits(asked, range)).toThrow(message);
  expect(() => effectiveLimits(asked, range)).toThrow(expect.objectContaining({ fault: "invalid" }));
});

import { expect, test } from "vitest";
import { parseFilter } from "./listing.ts";
import type { Summary } from "./rollouts.ts";

test.each([
  [
    "state=RUNNING",
    'filter: expected one of QUEUED, PREPARING, ACTIVE, GRADING, SUBMITTED, ENDED as state, got "RUNNING"',
  ],
  ["state=active", 'got "active"'],
  ["pool=default state=", 'got ""'],
  [
    "ending=DONE",
    "filter: expected one of SUBMITTED, RELEASED, LEASE, BUDGET, POLICY_BROKE_SANDBOX, INFRA, TASK as ending",
  ],
  ["task", "filter: expected conditions key=value with a key of state, ending, task_id"],
  ["tasks=x", 'label.<name>, got "tasks=x"'],
  [`state=${"x".repeat(201)}`, `got "${"x".repeat(200)}"`],
])("the filter %s is refused in words", (filter, message) => {
  expect(() => parseFilter(filter)).toThrow(expect.objectContaining({ fault: "invalid", facts: { field: "filter" } }));
  expect(() => parseFilter(filter)).toThrow(message);
});

test("all conditions of a filter have to hold", () => {
  const summary = { state: "ENDED", ending: "LEASE", taskId: "t", labels: { run: "7" } } as unknown as Summary; // what is asked of
  expect(parseFilter("state=ENDED ending=LEASE task_id=t label.run=7")(summary)).toBe(true);
  expect(parseFilter("state=ENDED ending=BUDGET")(summary)).toBe(false);
  expect(parseFilter("label.run=8")(summary)).toBe(false);
  expect(parseFilter("")(summary)).toBe(true);
});

import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { GradeSchema } from "../gen/sandlot/v1/grade_pb.ts";
import type { Grade } from "../grading/grade.ts";
import type { Scopes } from "./authorize.ts";
import { encodeGrade } from "./encode-grade.ts";
import { plain } from "./plain.ts";

const GRADE: Grade = {
  id: "g",
  reward: 0,
  validity: "VALID",
  outcome: "UNRESOLVED",
  reason: "one of one FAIL_TO_PASS failed",
  officialResolved: false,
  officialRule: "swebench@5.0.2",
  assurance: "RULE_ONLY",
  tests: { FAIL_TO_PASS: { passed: 0, failed: 1 } },
  hidden: {
    failToPass: { success: [], failure: ["test_secret"] },
    passToPass: { success: ["test_other"], failure: [] },
    log: "test_secret failed",
  },
  patchBase64: Buffer.from("diff").toString("base64"),
  leftOut: ["build/x"],
  provenance: {
    ...{ environmentKey: "k", baseCommit: "b", seal: "s", rule: "r", parser: "p" },
    ...{ patchSha256: "1", logSha256: "2", backend: "oci", serverVersion: "0" },
  },
  timings: { queuedMs: 6, submissionMs: 1, sandboxMs: 2, applyMs: 3, testMs: 4.4, verdictMs: 5 },
};

const encoded = (grade: Grade, scopes: Scopes) => create(GradeSchema, encodeGrade(grade, scopes));

test("a grade leaves without the names and the log of hidden tests", () => {
  const grade = encoded(GRADE, new Set(["rollout"]));
  expect(JSON.stringify(plain(grade))).not.toContain("test_");
  expect(grade.tests["FAIL_TO_PASS"]).toMatchObject({ passed: 0, failed: 1, failedNames: [] });
});

test("a token with scope hidden gets the names, and still not the log", () => {
  const text = JSON.stringify(plain(encoded(GRADE, new Set(["rollout", "hidden"]))));
  expect(text).toContain('"failed_names":["test_secret"]');
  expect(text).not.toContain("test_secret failed");
});

test("a reward of 0 is there and an absent one is not", () => {
  expect(encoded(GRADE, new Set()).reward).toBe(0);
  const { reward, ...infra } = GRADE;
  expect(encoded({ ...infra, validity: "INFRA" }, new Set()).reward).toBeUndefined();
  expect(reward).toBe(0);
});

test("the CLI prints words without prefixes, and times as whole milliseconds", () => {
  expect(plain(encoded(GRADE, new Set()))).toMatchObject({
    validity: "VALID",
    outcome: "UNRESOLVED",
    assurance: { level: "RULE_ONLY" },
    official_resolved: false,
    timings: { submission_ms: 1, command_ms: 7, tests_ms: 4, verdict_ms: 5, grade_ms: 15 },
    left_out: ["build/x"],
  });
});

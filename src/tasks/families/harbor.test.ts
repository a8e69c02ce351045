import { describe, expect, it } from "vitest";
import { readRow } from "../readers.ts";
import { BASE } from "../task.fixture.ts";
import { ORIGIN, problemsOf, taskOf } from "./rows.fixture.ts";

const SANDLOT = { repository: "repo.fast-export", base_commit: BASE };
const ROW = {
  id: "count",
  folder: "/tasks/count",
  files: ["tests/test.sh", "environment/Dockerfile"],
  instruction: "Count them.\n",
  schema_version: "1.3",
  metadata: { difficulty: "hard", tags: ["x"], sandlot: SANDLOT },
  environment: { network_mode: "no-network", cpus: 2, memory_mb: 2048, env: { LEVEL: `\${LEVEL:-3}` } },
  verifier: { timeout_sec: 12.5, env: { SUITE: "all of it" } },
  agent: { timeout_sec: 900 },
};
const read = (changes: object = {}) => taskOf(readRow({ ...ROW, ...changes }, ORIGIN));
const needs = (changes: object = {}) => read(changes).needs.map(({ capability }) => capability);
const problems = (changes: object) => problemsOf(readRow({ ...ROW, ...changes }, ORIGIN, "harbor"));

describe("a task of Harbor", () => {
  it("is a task, not an issue, verified by a script of its own whose reward alone counts", () => {
    const task = read();
    expect(task).toMatchObject({ id: "count", kind: "task", difficulty: "hard", instruction: "Count them.\n" });
    expect(task.grader).toMatchObject({
      ...{ rule: "harbor@1.3", parser: "reward", apply: "plain", timeoutMs: 12_500, failToPass: [], official: true },
      files: [{ path: "/tests", from: "/tasks/count/tests" }],
      results: ["/logs/verifier/reward.json", "/logs/verifier/reward.txt"],
      ignored: true,
    });
    expect(task.grader.script.split("\n")).toEqual([
      ...["#!/bin/bash", "rm -rf /logs/verifier", "mkdir -p /logs/verifier /logs/agent /logs/artifacts"],
      ...["chmod +x /tests/test.sh", "export SUITE='all of it'", "/tests/test.sh", ""],
    ]);
  });

  it("starts from the repository that our table names, else from its image", () => {
    expect(read().environment).toMatchObject({
      rootfs: { type: "host" },
      repository: { type: "fast-export", path: "/tasks/count/repo.fast-export" },
      ...{ workdir: "/app", baseCommit: BASE, env: { LEVEL: "3" } },
    });
    const built = read({ metadata: {} }).environment;
    expect(built.rootfs).toEqual({ type: "image", ref: "harbor/count", context: "/tasks/count/environment" });
    const environment = { ...ROW.environment, docker_image: "acme/count:1", workdir: "/work" };
    const pulled = read({ metadata: {}, environment }).environment;
    expect(pulled).toMatchObject({ rootfs: { type: "image", ref: "acme/count:1" }, workdir: "/work" });
  });

  it("keeps the verifier's own image apart", () => {
    const verifier = { environment_mode: "separate", environment: { docker_image: "acme/verify:1" } };
    expect(read({ verifier }).grader.environment).toMatchObject({ rootfs: { type: "image", ref: "acme/verify:1" } });
    expect(needs({ verifier })).toEqual(["isolation", "images"]);
    const env = { MODE: "strict", LEVEL: `\${LEVEL:-2}` };
    const own = read({ verifier: { environment: { docker_image: "acme/verify:1", env } } });
    expect(own.grader.environment?.env).toEqual({ MODE: "strict", LEVEL: "2" });
  });

  it.each<[string[], object]>([
    [[], {}],
    [["images"], { metadata: {} }],
    [["network"], { environment: {} }],
    [[], { environment: { allow_internet: false } }],
    [[], { environment: {}, metadata: { sandlot: { ...SANDLOT, network: "none" } } }],
    [["network"], { verifier: { network_mode: "public" } }],
    [["network"], { agent: { network_mode: "allowlist" } }],
    [["steps"], { steps: [{}, {}] }],
    [["test-command"], { files: [] }],
    [["windows"], { files: ["tests/test.bat"], environment: { ...ROW.environment, os: "Windows" } }],
    [["services"], { files: [...ROW.files, "environment/docker-compose.yaml"] }],
    [["services"], { environment: { ...ROW.environment, mcp_servers: [{ name: "x" }] } }],
    [["services"], { verifier: { collect: [{ command: "x" }] } }],
    [["gpus"], { environment: { ...ROW.environment, gpus: 1 } }],
    [["users"], { agent: { user: "agent" } }],
    [[], { agent: { user: "root" }, verifier: { user: 0 } }],
    [["artifacts"], { artifacts: ["/app/out", "/var/out"] }],
    [["artifacts"], { artifacts: [{ source: "/application" }] }],
    [[], { artifacts: ["/app/out", { source: "/app" }] }],
    [["variables"], { verifier: { env: { KEY: `\${API_KEY}` } } }],
    [[], { verifier: { env: { KEY: `\${API_KEY:-none}` } } }],
  ])("needs %j besides a sandbox of its own when it says %j", (expected, changes) => {
    expect(needs(changes)).toEqual(["isolation", ...expected]);
  });

  it("is refused with what is missing or wrong, by its name in task.toml", () => {
    expect(problems({ instruction: undefined })).toEqual([
      "instruction: expected a file instruction.md beside it, got nothing",
    ]);
    expect(problems({ verifier: { timeout_sec: "soon" } })).toEqual([
      'verifier.timeout_sec: expected a number, got "soon"',
    ]);
    expect(problems({ environment: { network_mode: "some" } })[0]).toMatch(/^environment.network_mode: expected /);
    expect(problems({ environment: { workdir: "app" } })).toEqual([
      'environment.workdir: expected an absolute path, got "app"',
    ]);
    expect(problems({ metadata: { sandlot: { base_commit: BASE } } })).toEqual([
      "metadata.sandlot.repository: expected a string that is not empty, got nothing",
    ]);
    expect(problems({ metadata: { sandlot: { ...SANDLOT, repo: "x" } } })[0]).toMatch(/^metadata.sandlot.repo: /);
  });
});

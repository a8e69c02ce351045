import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Config, parseConfig } from "./config.ts";

test("the commented example holds every setting with its default", () => {
  const path = new URL("../config/sandlot.yaml", import.meta.url);
  const example = parseConfig(readFileSync(path, "utf8"), "sandlot.yaml");
  expect(example).toEqual(Config.parse({}));
});

test("an empty file is the defaults", () => {
  expect(parseConfig("", "c.yaml")).toEqual(Config.parse({}));
  expect(parseConfig("# nothing\n", "c.yaml")).toEqual(Config.parse({}));
});

test.each([
  ["pools:\n  val:\n    slotz: 4\n", '3:5: pools.val.slotz: expected a key of slots, queue, priority, got "slotz"'],
  ["lisen: x\n", "1:1: lisen: expected a key of listen, tls, state_dir, tasks,"],
  [
    "tasks: { sets: [{ from: [a], backend: x }] }\n",
    '1:30: tasks.sets.0.backend: expected nothing, for there are no backends, got "x"',
  ],
  [
    "backends: { one: { type: process, commands_run_unprotected_on_this_host: true } }\ntasks: { sets: [{ from: [a], backend: x }] }\n",
    '2:30: tasks.sets.0.backend: expected one, got "x"',
  ],
  ["backends: { Two: { type: oci } }\n", "1:13: backends.Two: expected 1 to 32 small letters, digits and dashes"],
  ["backends:\n  a: { type: oci }\n  a: { type: oci }\n", "3:3: backends.a: expected it once, got it again"],
  ["listen: a\nlisten: b\n", "2:1: listen: expected it once, got it again"],
  [
    "backend: { type: docker, socket: /run/a.sock }\nbackends:\n  b: { type: docker, socket: 'unix:///run/a.sock' }\n",
    '3:22: backends.b.socket: expected another engine than that of backend, or another runtime on it, got "unix:///run/a.sock"',
  ],
  [
    "backends:\n  a: { type: docker }\n  b: { type: docker }\n",
    '3:3: backends.b.socket: expected another engine than that of backends.a, or another runtime on it, got ""',
  ],
  ["listen: 7\n", "1:1: listen: expected a string, got 7"],
  ["lease_ms: 10m\n", '1:1: lease_ms: expected an integer of at least 1, got "10m"'],
  ["lease_ms: 0.5\n", "1:1: lease_ms: expected an integer of at least 1, got 0.5"],
  [
    "a: b\n\nlimits:\n  defaults: { memory_mib: 0 }\n",
    "4:15: limits.defaults.memory_mib: expected an integer of at least 16, got 0",
  ],
  ["limits: { most: { pids: 1 } }\n", "1:19: limits.most.pids: expected an integer of at least 16, got 1"],
  [
    "limits: { most: { pids: 100 } }\n",
    "1:1: limits.defaults.pids: expected at most limits.most.pids, which is 100, got 512",
  ],
  ["limits:\n  most: []\n", "2:3: limits.most: expected an object, got []"],
  ["pools: { d: { priority: 101 } }\n", "1:15: pools.d.priority: expected an integer from 0 to 100, got 101"],
  ["pools: { d: { slots: x } }\n", '1:15: pools.d.slots: expected an integer of at least 1 or "auto", got "x"'],
  ["pools: { a b: {} }\n", "1:10: pools.a b: expected 1 to 64 letters, digits, dots, dashes and underscores"],
  ["tasks:\n  files:\n  - a.jsonl\n  - 3\n", "4:5: tasks.files.1: expected a string that is not empty, got 3"],
  ["tasks: { bundled: yes }\n", '1:10: tasks.bundled: expected true or false, got "yes"'],
  ["backend: { type: docke }\n", '1:12: backend.type: expected "oci" or "docker" or "e2b" or "process", got "docke"'],
  ["backend: oci\n", '1:1: backend: expected an object, got "oci"'],
  [
    "backend: { runtime: podman }\n",
    '1:1: backend.type: expected "oci" or "docker" or "e2b" or "process", got nothing',
  ],
  ["backend:\n  type: process\n", "1:1: backend.commands_run_unprotected_on_this_host: expected true, got nothing"],
  ["backend: { type: oci, disk: quota }\n", '1:23: backend.disk: expected "auto" or "loop" or "watched", got "quota"'],
  ["tls: { cert_file: a }\n", "1:1: tls.key_file: expected a file, since tls.cert_file is set, got nothing"],
  ["tls: { client_ca_file: a }\n", "1:1: tls.cert_file: expected a file, since tls.client_ca_file is set, got nothing"],
  ["tls: { ca_file: a }\n", "1:8: tls.ca_file: expected a key of cert_file, key_file, client_ca_file,"],
  ["- 1\n", "1:1: (top): expected an object, got [1]"],
  ["listen: [\n", "2:1: expected YAML, got an error: "],
])("%j is refused with its line, what was expected and what was got", (text, message) => {
  expect(() => parseConfig(text, "c.yaml")).toThrow(`c.yaml:${message}`);
});

test("one engine may have two names where each has a runtime of its own", () => {
  const text = "backend: { type: docker }\nbackends:\n  apart: { type: docker, runtime: runsc }\n";
  expect(Object.keys(parseConfig(text, "c.yaml").backends)).toEqual(["apart"]);
});

test("all that is wrong is said at once", () => {
  const message = refusal("lisen: x\nlease_ms: 0\nlog: { level: loud }\n");
  expect(message.split("\n").map((line) => line.split(": ", 2)[1])).toEqual(["lease_ms", "log.level", "lisen"]);
});

/** Settings of every kind, and none of zod's own words for them. */
test("no problem is told in the words of a library", () => {
  const wrong = "listen: {}\nlease_ms: -1\npools: 3\nrepositories: x\nrecords: { days: x }\nlog: 1\nbackend: 7\n";
  expect(refusal(wrong)).not.toMatch(/invalid|too (small|big)|unrecognized|received|>=|<=/i);
});

function refusal(text: string): string {
  try {
    parseConfig(text, "c.yaml");
  } catch (error) {
    if (error instanceof Error) return error.message;
  }
  throw new Error("it was not refused");
}

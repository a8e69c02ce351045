import { expect, test } from "vitest";
import { templateName, toolName } from "./templates.ts";

const SIZE = { cpu: 2, memoryMiB: 4_096 };

test("a template's name is readable, and two images or sizes never share one", () => {
  const name = templateName("docker.io/swebench/sweb.eval.x86_64.django_1776_django-11099:latest", SIZE);
  expect(name).toMatch(/^sandlot-[a-z0-9-]*django-11099-latest-[0-9a-f]{16}$/);
  const names = [
    templateName("a/b:1", SIZE),
    templateName("a-b:1", SIZE),
    templateName("A/b:1", SIZE),
    templateName("a/b:1", { ...SIZE, cpu: 4 }),
    templateName("a/b:1", { ...SIZE, memoryMiB: 2_048 }),
    templateName("a/b:1", { ...SIZE, dockerfile: "FROM a" }),
    templateName("a/b:1", { ...SIZE, dockerfile: "FROM b" }),
    templateName(`a/b@sha256:${"0".repeat(64)}`, SIZE),
    templateName(`a/b@sha256:${"1".repeat(64)}`, SIZE),
  ];
  expect(new Set(names).size).toBe(names.length);
  for (const each of names) expect(each).toMatch(/^[a-z0-9][a-z0-9_-]{0,63}$/);
});

test.each([
  ["docker.io/acme/py310:v1", "py310-v1"],
  ["acme/py310", "py310-latest"],
  ["registry:5000/team/sweb.eval:1.0", "sweb-eval-1-0"],
  [`acme/x:tag@sha256:${"0".repeat(64)}`, "x-tag"],
  [`acme/${"long".repeat(20)}:v1.2.3`, `${"long".repeat(20).slice(0, 43)}-v1-2-3`],
])("a tool made elsewhere for %s is %s", (ref, name) => {
  expect(toolName(ref)).toBe(name);
  expect(name.length).toBeLessThanOrEqual(50);
});

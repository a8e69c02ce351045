import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { filledIn } from "./recipe.ts";

const filled = (text: string, args: Readonly<Record<string, string>> = {}): string =>
  filledIn({ path: "a.Dockerfile", text, args });

const BRACED = "FROM $-BASE-".replace(/-(.*)-/, "{$1}");

test("arguments have their values, or their defaults, in FROM and after it; comments go and long lines are one", () => {
  const text = [
    ...["# a comment", "ARG BASE=python:3.10-slim", "ARG TAG", "FROM $BASE", "", "ARG KIND=lite"],
    ...["RUN a \\", "  && b $KIND \\", "  # said between", "  && c", "WORKDIR /testbed"],
  ].join("\n");
  const rest = ["RUN a && b $KIND && c", "WORKDIR /testbed"];
  expect(filled(text).split("\n")).toEqual(["FROM python:3.10-slim", "ARG KIND=lite", ...rest]);
  const given = filled(text.replace("FROM $BASE", BRACED), { BASE: "acme/base:1", KIND: "full" });
  expect(given.split("\n")).toEqual(["FROM acme/base:1", "ARG KIND=full", ...rest]);
});

test("what the service cannot build is refused with its words", () => {
  expect(() => filled("RUN a")).toThrow("backend.recipes: a.Dockerfile: expected one FROM, got 0");
  expect(() => filled("FROM a AS b\nFROM c")).toThrow("expected one FROM, got 2");
  expect(() => filled("FROM a\nCOPY x /x")).toThrow('expected no COPY and no ADD, got "COPY x /x"');
  expect(() => filled(`ARG BASE=a\n${BRACED}`, { BSE: "b" })).toThrow("expected arguments among BASE, got BSE");
});

test("the recipe that comes with Sandlot can be built", () => {
  const text = readFileSync(new URL("../../../deploy/images/swebench-lite.Dockerfile", import.meta.url), "utf8");
  const lines = filled(text, { BASE: "acme/python:3.10" }).split("\n");
  expect(lines[0]).toBe("FROM acme/python:3.10");
  expect(lines.join("\n")).toContain("pytest==8.4.2 numpy==2.2.6 pandas==2.3.3");
});

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");

/** Type of line to the names of its fields; one that may be absent ends in `?`. */
type Lines = Readonly<Record<string, readonly string[]>>;

test("the page on records has every line of the journal with its fields, and no others", () => {
  expect(ofPage(read("../../docs/record.md"))).toEqual(ofCode(read("./lines.ts")));
});

test("the page is about the version that is written", () => {
  const [, version] = /readonly version: (\d+);/.exec(read("./lines.ts")) ?? [];
  expect(read("../../docs/record.md")).toContain(`This page is about version ${version}.`);
});

/** The interfaces of lines: those that carry a stamp. */
function ofCode(source: string): Lines {
  const blocks = [...source.matchAll(/^export interface \w+ extends Stamp \{\n(.*?)^\}/gms)].map(
    ([, body = ""]) => body,
  );
  return Object.fromEntries(
    blocks.map((body) => {
      const fields = [...body.matchAll(/^ {2}readonly (\w+\??): (.*?);$/gms)];
      const type = fields.find(([, name]) => name === "type")?.[2] ?? "";
      const names = fields.map(([, name = ""]) => name).filter((name) => name !== "type");
      return [type.slice(1, -1), ["at", ...names].toSorted()];
    }),
  );
}

/** The first column of each table: of a dotted name the first part. */
function ofPage(page: string): Lines {
  const sections = page.split(/^## /m).slice(1);
  return Object.fromEntries(
    sections.map((section) => {
      const rows = [...section.matchAll(/^\| (`.*?) \|/gm)].map(([, names = ""]) => names);
      const names = rows.flatMap((row) => [...row.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => topOf(name)));
      return [section.slice(0, section.indexOf("\n")), [...new Set(names)].toSorted()];
    }),
  );
}

const topOf = (name: string): string => {
  const [first = "", ...rest] = name.replace("[]", "").split(".");
  return rest.length === 1 && rest[0] === "*?" ? `${first}?` : first;
};

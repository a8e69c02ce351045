import { describe, expect, it } from "vitest";
import { pythonStrings } from "./python-list.ts";
import { TEST_PATCH } from "./rows.fixture.ts";
import { changedTests, directives, patchedFiles } from "./test-patch.ts";

describe("the patch of hidden tests", () => {
  it("names its files by their heads, and not by lines that look like one", () => {
    const tricky =
      "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n--- a/no.py\n+++ b/no.py\n context\n--- a/y.py\t2024\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n\\ No newline at end of file\n";
    expect(patchedFiles(tricky)).toEqual([
      { source: "x.py", target: "x.py" },
      { source: "y.py", target: undefined },
    ]);
    expect(patchedFiles(TEST_PATCH).map(({ source }) => source)).toEqual(["tests/test_a.py", undefined, undefined]);
    expect(patchedFiles("")).toEqual([]);
  });

  it("gives test commands the files that may be tests", () => {
    expect(directives("acme/tool", TEST_PATCH)).toEqual(["tests/test_a.py", "tests/test_new.py"]);
    expect(directives("django/django", TEST_PATCH)).toEqual(["test_a", "test_new"]);
    expect(changedTests(TEST_PATCH)).toEqual(["tests/test_a.py", "tests/test_new.py"]);
    expect(changedTests("--- a/t.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n")).toEqual([]);
  });
});

describe("a list of strings as Python writes it", () => {
  it.each([
    ["[]", []],
    ["['a', \"it's\"]", ["a", "it's"]],
    ['["a", "b\\u00e9"]', ["a", "bé"]],
    ["[ 'a' ,\n 'b\\n\\x41\\\\' , ]", ["a", "b\nA\\"]],
    ["['\\U0001F600']", ["😀"]],
  ])("reads %s", (text, list) => {
    expect(pythonStrings(text)).toEqual(list);
  });

  it.each([
    "",
    "a",
    "[a]",
    "['a' 'b']",
    "['a'",
    "['a'] + b",
    "['a', 5]",
    "['a\nb']",
    "['\\q']",
    "[,]",
    "['\\U99999999']",
  ])("refuses %j", (text) => {
    expect(pythonStrings(text)).toBeUndefined();
  });
});

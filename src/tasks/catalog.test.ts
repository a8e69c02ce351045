import { describe, expect, it } from "vitest";
import { Catalog } from "./catalog.ts";
import { parseTaskFilter } from "./filter.ts";
import { promptOf } from "./prompt.ts";
import { someTask } from "./task.fixture.ts";
import { Task } from "./task.ts";

const python = Task.parse(someTask({ id: "py-a", language: "python", difficulty: "easy", repo: "a/b" }));
const javascript = Task.parse(someTask({ id: "js-a", language: "javascript", source: { dataset: "other" } }));
const catalog = Catalog.from([
  { name: "one", tasks: [python] },
  { name: "two", tasks: [javascript] },
]);

describe("the catalog", () => {
  it("finds a task by its id, and says so when there is none", () => {
    expect(catalog.get("js-a")).toBe(javascript);
    expect(() => catalog.get("js-b")).toThrow(expect.objectContaining({ fault: "not_found" }));
    expect(() => catalog.get("toString")).toThrow(
      'task_id: expected the id of one of 2 tasks (`sandlot tasks` lists them), got "toString"',
    );
  });

  it("lists tasks in the order of their sources, by conditions that must all hold", () => {
    const ids = (filter: string) => catalog.list(parseTaskFilter(filter)).map((task) => task.id);
    expect(ids("")).toEqual(["py-a", "js-a"]);
    expect(ids("language=python difficulty=easy")).toEqual(["py-a"]);
    expect(ids("language=python  dataset=other")).toEqual([]);
    expect(ids("id=js-*")).toEqual(["js-a"]);
    expect(ids("id=js-")).toEqual([]);
    expect(ids("repo=a/b")).toEqual(["py-a"]);
  });

  it("refuses conditions that it does not know", () => {
    for (const filter of ["colour=red", "python", "language=python language=go", "playable=yes", "difficulty=hrd"]) {
      expect(() => parseTaskFilter(filter)).toThrow(expect.objectContaining({ fault: "invalid" }));
    }
    expect(() => parseTaskFilter("difficulty=hrd")).toThrow(
      'filter: expected one of easy, medium, hard as difficulty, got "hrd"',
    );
  });

  it("refuses two tasks of one id, and names both sources", () => {
    const sources = ["one", "two"].map((name) => ({ name, tasks: [python] }));
    expect(() => Catalog.from(sources)).toThrow("expected one task with the id py-a, got one in one and one in two");
  });
});

describe("a prompt", () => {
  it("is the same each time and names the place of the repository", () => {
    expect(promptOf(python)).toEqual(promptOf(python));
    expect(promptOf(python).map((message) => message.role)).toEqual(["system", "user"]);
    for (const message of promptOf(python, "/elsewhere")) expect(message.content).toContain("/elsewhere");
  });

  it("speaks only of tools that the task has", () => {
    const task = Task.parse(someTask({ agent: { tools: ["bash"] } }));
    const text = promptOf(task).map((message) => message.content);
    expect(text.join("\n")).toContain("`bash`");
    expect(text.join("\n")).not.toContain("submit_solution");
  });
});

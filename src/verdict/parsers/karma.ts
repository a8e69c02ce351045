import { eachLine, isSpace, skipSpace } from "../python-text.ts";
import { type Parser, UnparsableLog } from "./parser.ts";

/** `parse_log_karma`: from the line that starts a browser to the line `SUMMARY:`, tests below suites that only their indentation tells apart. */
export const parseKarma: Parser = (log) => {
  const statuses = new Map<string, string>();
  const suites: string[] = [];
  let indent = -1;
  let state: "before" | "within" | "after" = "before";
  eachLine(log, (line) => {
    if (state === "after" || line.startsWith("SUMMARY:")) {
      state = "after";
    } else if (line.includes("Starting browser")) {
      state = "within";
    } else if (state === "within") {
      const start = skipSpace(line, 0);
      const sign = line[start];
      if ((sign === "✔" || sign === "✖") && isSpace(line[start + 1])) {
        statuses.set([...suites, line.slice(start + 2)].join(" > "), sign === "✔" ? "PASSED" : "FAILED");
      } else if (start > 1 && start - 1 !== indent) {
        if (start - 1 > indent) suites.push(line.slice(start));
        else if (suites.pop() === undefined) throw new UnparsableLog("a suite that ends before it began");
        indent = start - 1;
      }
    }
  });
  return statuses;
};

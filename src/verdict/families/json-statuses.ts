import { z } from "zod";
import { type Parser, UnparsableLog } from "../parsers/parser.ts";

/** What a data set's own program made of a log: a map of names to statuses. Anything else makes the rule raise, as it does upstream. */
const parseMap: Parser = (text) => new Map(Object.entries(read(z.record(z.string(), z.string()), text)));

/** The form of SWE-bench Pro. Of several results of one name a pass counts, for the rule looks at nothing else. */
const parseTests: Parser = (text) => {
  const statuses = new Map<string, string>();
  for (const { name, status } of read(Tests, text).tests) {
    if (statuses.get(name) !== "PASSED") statuses.set(name, status);
  }
  return statuses;
};

const Tests = z.object({ tests: z.array(z.object({ name: z.string(), status: z.string() })) });

/** Lists of names, one for each outcome: the form of Multi-SWE-bench, where a name in two of them is an error. */
const parseLists: Parser = (text) => {
  const lists = read(Lists, text);
  const statuses = new Map<string, string>();
  for (const [status, names] of [
    ["PASS", lists.passed_tests],
    ["FAIL", lists.failed_tests],
    ["SKIP", lists.skipped_tests],
  ] as const) {
    for (const name of names) {
      if ((statuses.get(name) ?? status) !== status) throw new UnparsableLog("a test with two outcomes");
      statuses.set(name, status);
    }
  }
  return statuses;
};

const Names = z.array(z.string());
const Lists = z.object({ passed_tests: Names, failed_tests: Names, skipped_tests: Names });

export const JSON_PARSERS = [["json_map", parseMap]] as const;
export const JSON_TESTS_PARSERS = [["json_tests", parseTests]] as const;
export const JSON_LISTS_PARSERS = [["json_lists", parseLists]] as const;

function read<T>(schema: z.ZodType<T>, text: string): T {
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    if (parsed.success) return parsed.data;
  } catch {
    // Told below.
  }
  throw new UnparsableLog("what the data set's own program printed");
}

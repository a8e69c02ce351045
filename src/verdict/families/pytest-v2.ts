import { endsWithAny, type Parser, startsWithAny, UnparsableLog } from "../parsers/parser.ts";
import { eachPlainLine } from "../parsers/pytest.ts";
import { words } from "../python-text.ts";

/** `parse_log_pytest_v2` as it was before 4.1.0, in the copies that other data sets keep: a status on a line of its own makes it raise. */
export function pytestV2(options: {
  readonly statuses: readonly string[];
  readonly prepare?: (line: string) => string;
}): Parser {
  const { statuses: known, prepare = (line: string) => line } = options;
  return (log) => {
    const statuses = new Map<string, string>();
    eachPlainLine(log, (plain) => {
      const line = prepare(plain);
      const leads = startsWithAny(line, known);
      if (!leads && !endsWithAny(line, known)) return;
      const [first, second] = words(line.startsWith("FAILED") ? line.replaceAll(" - ", " ") : line);
      if (first === undefined || second === undefined) throw new UnparsableLog("a status without a test");
      if (leads) statuses.set(second, first);
      else statuses.set(first, second);
    });
    return statuses;
  };
}

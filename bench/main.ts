import { parseArgs } from "node:util";
import { benchBackends } from "./backends.ts";
import { benchContainers } from "./containers.ts";
import { type Row, table } from "./measure.ts";
import { benchSandbox } from "./sandbox.ts";
import { benchTax } from "./tax.ts";

type Say = (line: string) => void;

/** `only`: names of backends, for benches that have several; empty: all. */
const BENCHES: Readonly<Record<string, (say: Say, only: readonly string[]) => Promise<Row[]>>> = {
  sandbox: benchSandbox,
  tax: benchTax,
  backends: benchBackends,
  containers: async (say) => {
    await benchContainers(say);
    return [];
  },
  all: async (say) => [...(await benchSandbox(say)), ...(await benchTax(say))],
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: {
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
    only: { type: "string", multiple: true, default: [] },
  },
});
const bench = positionals.length === 1 ? BENCHES[positionals[0] ?? ""] : undefined;
if (!bench) {
  const usage = `usage: scripts/bench NAME [--json] [--only BACKEND]..., NAME one of ${Object.keys(BENCHES).join(", ")}\n`;
  (values["help"] ? process.stdout : process.stderr).write(usage);
  process.exit(values["help"] ? 0 : 2);
}
const only = (values["only"] as string[] | undefined) ?? []; // as the options say
const rows = await bench((line) => process.stderr.write(`${line}\n`), only);
for (const row of rows) if (values["json"]) process.stdout.write(`${JSON.stringify(row)}\n`);
if (!values["json"] && rows.length > 0) process.stdout.write(`${table(rows)}\n`);

import { readFile } from "node:fs/promises";
import type { Builder } from "../builder.ts";
import type { PipAccess } from "./package-index.ts";

/**
 * What the specifications leave open meant the packages of the day on which they were tried: the official results date from late 2023, the official frozen environments from late 2024.
 */
const OFFICIAL_DAYS = ["2023-11-01", "2024-11-01"];

/** The days (YYYY-MM-DD) whose packages a base commit of `commitDay` gets, the first one that has them all: none older than the commit. */
export function daysOfPackages(commitDay: string): readonly string[] {
  return [...new Set(OFFICIAL_DAYS.map((day) => (commitDay > day ? commitDay : day)))];
}

/** pip in a builder sandbox with the packages of a day, where the index tells the time of uploads. What cannot be had as of any of the days is installed as of now. */
export class PackagesOfDay {
  readonly #builder: Builder;
  readonly #views: readonly Readonly<Record<string, string>>[];

  private constructor(builder: Builder, views: readonly Readonly<Record<string, string>>[]) {
    this.#builder = builder;
    this.#views = views;
  }

  /** Starts the view of the index inside the sandbox, with which it ends. It needs a pip there. */
  static async open(builder: Builder, days: readonly string[], pip: PipAccess): Promise<PackagesOfDay> {
    const program = await readFile(new URL("./index_as_of.py", import.meta.url), "utf8");
    await builder.writeFile(`${FOLDER}/index_as_of.py`, program);
    await builder.writeFile(`${FOLDER}/start.sh`, START);
    const started = await builder.exec(["bash", `${FOLDER}/start.sh`, `${FOLDER}/port`, ...pip.indexes], {});
    const port = started.exitCode === 0 ? Number(new TextDecoder().decode(started.output[0]?.data)) : 0;
    if (!port) builder.note("packages", "packages are those of today: the index could not be viewed as of a day");
    const local = { PIP_EXTRA_INDEX_URL: "", NO_PROXY: "127.0.0.1", no_proxy: "127.0.0.1" };
    const views = days.map((day) => ({ ...local, PIP_INDEX_URL: `http://127.0.0.1:${port}/${day}/` }));
    return new PackagesOfDay(builder, port ? views : []);
  }

  /** Runs a script that installs. A failure is the task's. */
  async install(stage: string, script: string): Promise<void> {
    for (const view of this.#views) {
      if (await this.#builder.succeeds(stage, script, view)) return;
      this.#builder.note(stage, "not possible with the packages of that day: once more with later ones");
    }
    await this.#builder.run(stage, script);
  }
}

const FOLDER = "/tmp/sandlot-index";

const START = `
rm -f "$1"
python ${FOLDER}/index_as_of.py "$@" > ${FOLDER}/log 2>&1 < /dev/null &
for _ in $(seq 150); do
  [ -s "$1" ] && break
  kill -0 $! 2>/dev/null || break
  sleep 0.1
done
cat "$1"
`;

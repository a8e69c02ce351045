import { Flights, type Waiter } from "../../shelf/flight.ts";
import { readPythons, type SpecSource, type SwebenchSetup } from "./tools.ts";

/** Which Python the constants name for a repository and version. Read once, when it is first asked for. */
export class Pythons {
  readonly #flights = new Flights<void>();
  #table: Readonly<Record<string, Readonly<Record<string, string>>>> | undefined;

  /** A minor version, `3.9`; undefined where the constants know no such repository or version. */
  async of(source: SpecSource, { repo, version }: SwebenchSetup, waiter: Waiter): Promise<string | undefined> {
    if (this.#table === undefined) {
      await this.#flights.join(
        "pythons",
        async (signal, report) => {
          this.#table = await readPythons(source, { signal, report });
        },
        waiter,
      );
    }
    return this.#table?.[repo]?.[version];
  }
}

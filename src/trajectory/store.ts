import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Journal, readEnds, readLines, Syncer } from "./journal.ts";
import { type Ledger, openLedger, post } from "./ledger.ts";
import type { Created, Ended, Line } from "./lines.ts";

/** The folder of journals: `<state>/trajectories/<id>/journal.jsonl`. */
export class Store {
  readonly #folder: string;
  readonly #syncer = new Syncer();

  constructor(stateDir: string) {
    this.#folder = join(stateDir, "trajectories");
  }

  path(id: string): string {
    return join(this.#folder, id, "journal.jsonl");
  }

  open(id: string): Journal {
    return new Journal(this.path(id), this.#syncer);
  }

  /** All journals: what an ended one comes to, or the ledger of one that lives. One that has no whole line is nothing. */
  *scan(): Iterable<{ created: Created; ended: Ended } | { ledger: Ledger }> {
    for (const id of this.#ids()) {
      const ends = readEnds(this.path(id));
      if (ends?.first.type !== "created") this.remove(id);
      else if (ends.last.type === "ended") yield { created: ends.first, ended: ends.last };
      else yield { ledger: this.#replay(id, ends.first) };
    }
  }

  lines(id: string): Line[] {
    return readLines(this.path(id)).map(({ line }) => line);
  }

  remove(id: string): void {
    rmSync(join(this.#folder, id), { recursive: true, force: true });
  }

  #replay(id: string, created: Created): Ledger {
    const ledger = openLedger(created);
    for (const { line, position } of readLines(this.path(id))) post(ledger, line, position);
    return ledger;
  }

  #ids(): string[] {
    try {
      return readdirSync(this.#folder).filter((name) => name.startsWith("sandlot-"));
    } catch {
      return []; // the first start
    }
  }
}

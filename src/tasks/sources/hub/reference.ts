import { SandlotError } from "../../../errors.ts";
import { ENDINGS, formatOf } from "../formats.ts";

/** What of a data set on the hub is wanted. */
export interface DatasetReference {
  /** `owner/name`. */
  readonly id: string;
  /** A commit id; empty: the one of the lock. */
  readonly revision: string;
  readonly what: { readonly config: string; readonly split: string } | { readonly glob: string };
}

export const DATASET_ID = /^(?![-.])[\w.-]{1,96}\/(?![-.])[\w.-]{1,96}$/;
export const REVISION = /^[0-9a-f]{40}$/;

const FORM = "owner/name[@REVISION][:[CONFIG/]SPLIT] or owner/name[@REVISION]:FILES";

/** Reads `[hf:]owner/name@REVISION:SPLIT`; undefined where the text does not look like that. Fault `invalid` when it does and is none. */
export function parseReference(text: string): DatasetReference | undefined {
  const [, prefix, id = "", revision = "", rest = ""] =
    /^(hf:)?([\w.-]+\/[\w.-]+)(?:@([^:]*))?(?::(.*))?$/.exec(text) ?? [];
  if (prefix === undefined && (!DATASET_ID.test(id) || (rest === "" && formatOf(text) !== undefined))) return undefined;
  if (!DATASET_ID.test(id)) throw wrong(`a data set as ${FORM}`, text);
  if (revision !== "" && !REVISION.test(revision)) throw wrong("a full commit id, 40 hex digits, after @", revision);
  return { id, revision, what: whatOf(rest) };
}

/** As a person would write it. */
export function showReference({ id, revision, what }: DatasetReference): string {
  const part = "glob" in what ? what.glob : [what.config, what.split].filter((word) => word !== "").join("/");
  return `${id}${revision && `@${revision}`}${part && `:${part}`}`;
}

function whatOf(rest: string): DatasetReference["what"] {
  if (formatOf(rest) !== undefined) return { glob: rest };
  const [, config = "", split = ""] = /^(?:([\w.-]+)\/)?([\w.-]*)$/.exec(rest) ?? [];
  if (rest !== "" && split === "") throw wrong(`[CONFIG/]SPLIT, or files that end in ${ENDINGS}, after :`, rest);
  return { config, split };
}

function wrong(expected: string, got: string): SandlotError {
  return new SandlotError("invalid", `tasks: expected ${expected}, got ${JSON.stringify(got)}`, { field: "tasks" });
}

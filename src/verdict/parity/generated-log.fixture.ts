import type { Chance } from "./chance.fixture.ts";
import { type Grammar, STATUSES } from "./grammar.fixture.ts";

const NAMES = [
  "test_a",
  "test_b",
  "tests/x.py::test_c[1]",
  "tests/x.py::T::test_d[a b-/c/d]",
  "a.b.C",
  "C",
  "a",
  "x y",
  "é",
  "名前",
  "😀",
  "test_ogip[log(",
  "0",
  "__proto__",
  "constructor",
];
const SPECIALS =
  " |  |\t|\v|\f|\r|\r\n|\n|\x1c|\x1d|\x1e|\x1f|\x85|\xa0|\u1680|\u2003|\u2028|\u2029|\u202f|\u3000|\ufeff|\u180e|\u200b|\0|\x7f|\x1b[31m|\x1b[0m|\x1b|٣|５|𝟗|𝐀|ß|\u0301|²|Ⅷ|ok|1|(|)|[|]|:|.|-|_|/|#|<|>|&|\"|'|\\|{|}|,|*|=|a|Z".split(
    "|",
  );
const SPACES = [" ", " ", "  ", "\t", "\x1c", "\x85", "\xa0", "\u2003", "\u2028", "\u3000", "\n", "\r", ""];

/** A log that a test program of the grammar might print, or nearly. */
export function logOf(grammar: Grammar, chance: Chance): string {
  const names = Array.from({ length: 1 + chance.below(4) }, () => nameOf(chance));
  const lineEnd = chance.of(["\n", "\n", "\n", "\r\n"]);
  const lines = Array.from({ length: 1 + chance.below(14) }, () => lineOf(grammar, names, chance));
  if (grammar.opening !== undefined && chance.is(0.7)) lines.unshift(grammar.opening);
  const log = lines.join(lineEnd);
  const text = (chance.is(0.3) ? strewn(log, grammar, chance) : log).toWellFormed();
  return grammar.except?.test(text) ? logOf(grammar, chance) : text;
}

function lineOf(grammar: Grammar, names: readonly string[], chance: Chance): string {
  const pieces: readonly string[] = [...grammar.words, ...SPECIALS, ...names];
  const soup = (): string => chance.pieces(6, () => chance.of(chance.is(0.5) ? grammar.words : pieces));
  if (chance.is(0.1)) return soup();
  const line = chance.of(grammar.lines).replace(/\{([a-z])\}/g, (slot, kind: string) => {
    if (kind === "n") return chance.of(names);
    if (kind === "s") return chance.of(STATUSES);
    if (kind === "d") return chance.is(0.9) ? String(chance.below(1000)) : chance.of(["٣", "５0", "𝟗", "", "0"]);
    if (kind === "w") return chance.of(SPACES);
    if (kind === "i") return chance.is(0.8) ? " ".repeat(chance.below(9)) : chance.pieces(3, () => chance.of(SPACES));
    if (kind === "t") return `${chance.below(99)}${chance.of(["ms", " ms", "s", " s", " m", "\xa0ms"])}`;
    if (kind === "e") return chance.is(0.9) ? chance.of(names) : soup();
    return kind === "x" ? soup() : slot;
  });
  return chance.is(0.05) ? line.slice(0, chance.below(line.length + 1)) : line;
}

function nameOf(chance: Chance): string {
  return chance.is(0.85) ? chance.of(NAMES) : chance.pieces(4, () => chance.of([...NAMES, ...SPECIALS]));
}

/** With a few things where they do not belong. */
function strewn(log: string, grammar: Grammar, chance: Chance): string {
  let text = log;
  for (let times = 1 + chance.below(3); times > 0; times -= 1) {
    const at = chance.below(text.length + 1);
    text = text.slice(0, at) + chance.of(chance.is(0.3) ? grammar.words : SPECIALS) + text.slice(at + chance.below(2));
  }
  return text;
}

/** What `declare -px` of a bash prints, read as data: nothing of it is ever run again. */

/** A single string of an environment that Linux still passes on, its NUL included (MAX_ARG_STRLEN). */
const MAX_STRING = 128 * 1024;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Bash makes these itself, or refuses to take them over. */
const OWN = new Set(["_", "PWD", "SHLVL", "SHELLOPTS", "BASHOPTS"]);

export type Exported = Readonly<Record<string, string | null>>;

/**
 * Exported variables by name. Passes over what no command of the shell would see (arrays, unset variables) and what cannot be handed to the next one: odd
 * names, strings that are too long.
 */
export function parseDeclarations(bytes: Buffer): ReadonlyMap<string, string> {
  const text = bytes.toString("latin1"); // one character a byte
  const variables = new Map<string, string>();
  for (let at = 0; at < text.length; ) {
    const equals = text.indexOf("=", at);
    const newline = text.indexOf("\n", at);
    if (newline >= 0 && (equals < 0 || newline < equals)) {
      at = newline + 1; // exported, but unset
      continue;
    }
    if (equals < 0) break;
    const name = text.slice(text.lastIndexOf(" ", equals) + 1, equals);
    const { value, end } = readWord(text, equals + 1);
    if (value !== undefined && NAME.test(name) && !OWN.has(name) && name.length + value.length + 2 <= MAX_STRING)
      variables.set(name, Buffer.from(value, "latin1").toString());
    at = end + 1;
  }
  return variables;
}

/** How `variables` differ from `base`; null = unset. */
export function difference(base: Readonly<Record<string, string>>, variables: ReadonlyMap<string, string>): Exported {
  const changed = [...variables].filter(([name, value]) => !Object.hasOwn(base, name) || base[name] !== value);
  const unset = Object.keys(base).filter((name) => !variables.has(name) && NAME.test(name) && !OWN.has(name));
  return Object.fromEntries([...changed, ...unset.map((name): [string, null] => [name, null])]);
}

export interface Restored {
  readonly environment: Record<string, string>;
  /** Bash commands, on one line, that set the rest. */
  readonly preamble: string;
}

/** What a bash heeds while it starts: a bad one must not keep every later command from starting, so the shell sets it itself. */
const LATE = /^(PATH|LANG|BASH_ENV|POSIXLY_CORRECT|BASH_COMPAT|(LD|LC|GLIBC|MALLOC)_\w*)$/;
/** The preamble is part of an argument. */
const MAX_PREAMBLE = 64 * 1024;

/** How the next command gets its variables. */
export function restored(base: Readonly<Record<string, string>>, exported: Exported): Restored {
  const changes = Object.entries(exported);
  const early = Object.entries({ ...base, ...Object.fromEntries(changes.filter(([name]) => !LATE.test(name))) });
  const environment = early.filter(
    (entry): entry is [string, string] => entry[1] !== null && !OWN.has(entry[0]) && entry[0] !== "BASH_ENV",
  );
  const commands = changes.filter(([name]) => LATE.test(name)).map(([name, value]) => change(name, value));
  const sizes = commands.map((command) => Buffer.byteLength(command));
  const fitting = commands.filter((_, index) => sizes.slice(0, index + 1).reduce((a, b) => a + b, 0) < MAX_PREAMBLE);
  return { environment: Object.fromEntries(environment), preamble: fitting.join("") };
}

function change(name: string, value: string | null): string {
  return value === null ? `builtin unset ${name}; ` : `builtin export ${name}=${quoted(value)} 2>/dev/null; `;
}

/** As one word of bash. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

interface Word {
  /** Undefined for an array. */
  readonly value: string | undefined;
  /** Where the newline stands that ends the line. */
  readonly end: number;
}

/** A value as bash quotes it: pieces of "..." and $'...' one after the other, up to the end of the line. */
function readWord(text: string, start: number): Word {
  const isArray = text[start] === "(";
  const pieces: string[] = [];
  let at = start;
  while (at < text.length && text[at] !== "\n") {
    const open = text.startsWith("$'", at) ? "$'" : text[at];
    if (open === '"' || open === "$'") {
      const inside = at + open.length;
      const close = closing(text, inside, open === '"' ? '"' : "'");
      const inner = text.slice(inside, close);
      pieces.push(open === '"' ? inner.replace(/\\([$`"\\])/g, "$1") : unescaped(inner));
      at = close + 1;
    } else {
      pieces.push(text[at] ?? "");
      at += 1;
    }
  }
  return { value: isArray ? undefined : pieces.join(""), end: at };
}

function closing(text: string, from: number, quote: string): number {
  for (let at = from; at < text.length; at++) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === quote) return at;
  }
  return text.length;
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  E: "\x1b",
  e: "\x1b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** Of $'...': bash writes control characters by letter, or as three octal digits. */
function unescaped(inner: string): string {
  return inner.replace(/\\([0-7]{1,3}|[\s\S])/g, (_all, code: string) =>
    /^[0-7]/.test(code) ? String.fromCharCode(Number.parseInt(code, 8) & 0xff) : (ESCAPES[code] ?? code),
  );
}

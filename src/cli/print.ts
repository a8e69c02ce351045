/** Plain text for people and JSON for machines, both on stdout. */

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** What came out of a sandbox or over the wire, so that it cannot take hold of the terminal: other control characters than line ends and tabs are shown as \uXXXX. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, (character) => {
    return character === "\r" ? "" : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** Rows under a heading, columns as wide as their widest cell. */
export function table(rows: readonly Readonly<Record<string, unknown>>[], columns: readonly string[]): string {
  const cells = [columns, ...rows.map((row) => columns.map((column) => cell(row[column])))];
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index]?.length ?? 0)));
  const lines = cells.map((line) =>
    line
      .map((text, index) => text.padEnd(widths[index] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return `${lines.join("\n")}\n`;
}

/** One line that takes the place of the one before where a person watches; nothing elsewhere. */
export function progress(text: string): void {
  if (process.stderr.isTTY)
    process.stderr.write(`\r\x1b[K${printable(text).slice(0, (process.stderr.columns ?? 80) - 1)}`);
}

export function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
}

function cell(value: unknown): string {
  if (typeof value === "string") return printable(value.replace(/\s+/g, " "));
  return value === undefined ? "" : JSON.stringify(value);
}

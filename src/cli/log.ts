import { writeSync } from "node:fs";
import { styleText } from "node:util";
import { type Level, type Logger, pino } from "pino";
import { z } from "zod";
import type { Credentials } from "./credentials.ts";
import { printable } from "./print.ts";

/** The server's log: JSON lines on stderr, or one readable line each where a person watches. */
export function openLog(level: Level, credentials: Credentials): Logger {
  const show = process.stderr.isTTY ? readable : (line: string) => line;
  const write = (line: string): void => emit(show(credentials.redact(line)));
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, redact: ["*.token", "*.authorization"] },
    { write },
  );
}

/** Synchronous, so that the last words before an exit are there. A reader that is slow or gone is no reason to fail. */
function emit(line: string): void {
  try {
    writeSync(2, line);
  } catch {
    // Nobody reads.
  }
}

const Line = z.looseObject({ level: z.number(), time: z.string(), msg: z.string().optional() });
const STYLES = new Map<number, Parameters<typeof styleText>[0]>([
  [40, "yellow"],
  [50, "red"],
  [60, "red"],
]);

function readable(line: string): string {
  const { level, time, msg = "", ...facts } = Line.parse(JSON.parse(line));
  const rest = Object.entries(facts).map(
    ([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return `${time.slice(11, 19)} ${styleText(STYLES.get(level) ?? "reset", msg)} ${styleText("dim", printable(rest.join(" ")))}\n`;
}

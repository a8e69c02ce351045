import { SandlotError } from "../../errors.ts";

/** An image that the service builds itself. */
export interface Recipe {
  /** For messages. */
  readonly path: string;
  /** The text of a Dockerfile with one stage that takes no files of this host. */
  readonly text: string;
  /** Build arguments, as for `docker build --build-arg`. */
  readonly args: Readonly<Record<string, string>>;
}

/**
 * The Dockerfile with its build arguments filled in: what stands before FROM is put into that line and left out, what comes later has the value in place of its default. Fault `invalid` for what the service
 * cannot build, and for an argument that it does not have.
 */
export function filledIn({ path, text, args }: Recipe): string {
  const lines = logicalLines(text);
  const stages = lines.filter((line) => /^FROM\s/i.test(line)).length;
  if (stages !== 1) throw wrong(path, "one FROM", `${stages}`);
  const files = lines.find((line) => /^(?:COPY|ADD)\s/i.test(line));
  if (files !== undefined) throw wrong(path, "no COPY and no ADD", JSON.stringify(files.slice(0, 80)));
  const declared = lines.flatMap((line) => ARG.exec(line)?.groups?.["name"] ?? []);
  const unknown = Object.keys(args).find((name) => !declared.includes(name));
  if (unknown !== undefined) throw wrong(path, `arguments among ${declared.join(", ") || "none"}`, unknown);
  const values = new Map<string, string>();
  let isBefore = true;
  return lines
    .flatMap((line) => {
      const { name = "", value } = ARG.exec(line)?.groups ?? {};
      if (name !== "") {
        const given = args[name] ?? value;
        if (!isBefore) return [given === undefined ? line : `ARG ${name}=${given}`];
        values.set(name, given ?? "");
        return [];
      }
      if (!/^FROM\s/i.test(line)) return [line];
      isBefore = false;
      return [line.replace(/\$(?:\{(\w+)\}|(\w+))/g, (_, braced, plain) => values.get(braced ?? plain) ?? "")];
    })
    .join("\n");
}

const ARG = /^ARG\s+(?<name>\w+)(?:=(?<value>.*))?$/i;

/** Without comments and empty lines; a line that goes on is one. */
function logicalLines(text: string): readonly string[] {
  const kept = text.split("\n").filter((line) => !/^\s*(?:#|$)/.test(line));
  return kept
    .join("\n")
    .replaceAll(/[ \t]*\\[ \t]*\n\s*/g, " ")
    .split("\n")
    .map((line) => line.trim());
}

function wrong(path: string, expected: string, got: string): SandlotError {
  return new SandlotError("invalid", `backend.recipes: ${path}: expected ${expected}, got ${got}`, {
    knob: "backend.recipes",
  });
}

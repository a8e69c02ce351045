import type { Readable } from "node:stream";
import { SandlotError } from "../../errors.ts";

/** A line of what an engine tells of a pull or an import. */
export interface Told {
  readonly status?: string;
  readonly id?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
  /** Podman's words. */
  readonly stream?: string;
}

/**
 * Hears what an engine tells, to its end. Its errors come as lines of a stream that began with success: they reject with `failed`'s error for the words. So does a silence of `silenceMs`: an engine may die in the middle.
 */
export async function hearProgress(
  stream: Readable,
  hear: (told: Told) => void,
  { failed, silenceMs }: { readonly failed: (words: string) => Error; readonly silenceMs: number },
): Promise<void> {
  let rest = "";
  const late = setTimeout(() => stream.destroy(new Error(`nothing was heard of it for ${silenceMs} ms`)), silenceMs);
  const line = (text: string): void => {
    if (text.trim() === "") return;
    const told = parse(text);
    if (told.error !== undefined) throw failed(told.error);
    hear(told);
  };
  try {
    for await (const chunk of stream) {
      late.refresh();
      const lines = `${rest}${String(chunk)}`.split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > 1_048_576) throw new Error("a line of more than 1 MiB");
      for (const each of lines) line(each);
    }
    line(rest);
  } catch (error) {
    if (error instanceof SandlotError) throw error;
    throw failed(error instanceof Error ? error.message : String(error));
  } finally {
    clearTimeout(late);
    stream.destroy();
  }
}

/** A line that is no JSON is shown as it is. */
function parse(text: string): Told & { readonly error?: string } {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Told & { error?: string }; // as the API has it; each field is looked at by itself
  } catch {
    // an engine's own words
  }
  return { status: text.slice(0, 200) };
}

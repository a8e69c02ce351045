import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { SandlotError } from "../errors.ts";
import type { ChatMessage } from "../tasks/prompt.ts";

/** How many tokens a prompt has, without what a chat template puts around its messages. */
export type TokenCount = (prompt: readonly ChatMessage[]) => number;

/** Of a model's folder, with `tokenizer.json` and, where there is one, `tokenizer_config.json`. Fault `invalid` when it cannot be read. */
export async function openTokenizer(folder: string): Promise<TokenCount> {
  const definition = await readJson(join(folder, "tokenizer.json"), undefined);
  const config = await readJson(join(folder, "tokenizer_config.json"), {});
  let tokenizer: Tokenizer;
  try {
    tokenizer = new Tokenizer(definition, config);
  } catch (cause) {
    throw unreadable(folder, cause);
  }
  return (prompt) =>
    prompt.reduce((sum, { content }) => sum + tokenizer.encode(content, { add_special_tokens: false }).ids.length, 0);
}

async function readJson(path: string, absent: object | undefined): Promise<object> {
  try {
    const value: unknown = JSON.parse(await readFile(path, "utf8"));
    if (typeof value === "object" && value !== null) return value;
    throw new Error("it holds no JSON object");
  } catch (cause) {
    if (absent && cause instanceof Error && "code" in cause && cause.code === "ENOENT") return absent;
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): SandlotError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `tokenizer: expected a folder with a tokenizer.json that can be read, got ${path}: ${reason}`;
  return new SandlotError("invalid", message, { field: "tokenizer", cause });
}

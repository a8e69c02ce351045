import { type Format, jsonCall, type OneCall, reading } from "./format.ts";
import { jsonEnd } from "./scan.ts";

const TAG = "<|python_tag|>";

/** `{"name": ..., "parameters": {...}}` at the beginning of a line or behind `<|python_tag|>`, several after each other or with a semicolon between: Llama 3.1 to 3.3. */
export const llama3Json: Format = {
  name: "llama3_json",
  read(text) {
    const found: (OneCall | string)[] = [];
    for (let at = nextObject(text, 0); at >= 0; ) {
      const end = jsonEnd(text, at);
      const json = text.slice(at, end < 0 ? undefined : end);
      // JSON without a name is part of what the model says.
      if (json.includes('"name"')) found.push(jsonCall(json));
      at = end < 0 ? -1 : nextObject(text, end);
    }
    return reading(found);
  },
};

function nextObject(text: string, from: number): number {
  for (let at = text.indexOf("{", from); at >= 0; at = text.indexOf("{", at + 1)) {
    let before = at;
    while (before > from && /[ \t]/.test(text[before - 1] ?? "")) before--;
    if (before === from || /[\n;]/.test(text[before - 1] ?? "") || text.startsWith(TAG, before - TAG.length)) return at;
  }
  return -1;
}

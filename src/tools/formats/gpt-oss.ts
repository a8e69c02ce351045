import { type Format, named, type OneCall, reading } from "./format.ts";
import { cut } from "./scan.ts";

const END = /<\|(?:call|end|return|start)\|>/;

/** Harmony: `<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{...}<|call|>`. Other channels are what the model thinks and says. */
export const gptOss: Format = {
  name: "gpt-oss",
  read: (text) => reading(text.split(END).flatMap((part) => readPart(part) ?? [])),
};

function readPart(part: string): OneCall | string | undefined {
  const [head, body] = cut(part, "<|message|>") ?? [part, undefined];
  const [, to] = cut(head, "to=functions.") ?? [];
  if (to === undefined) return undefined;
  const name = /^[\w.-]*/.exec(to)?.[0] ?? "";
  return body === undefined
    ? "expected <|message|> and the arguments after the name of the function"
    : named(name, body);
}

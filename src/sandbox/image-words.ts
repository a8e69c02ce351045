/** How registries and engines say that there is no such image, or none for this machine or that may be seen: many do not tell an image that is not there from one that is somebody else's. */
const ABSENT =
  /manifest unknown|name unknown|no such image|not found: |manifest for .* not found|repository .* not found|does not exist|unauthorized|no basic auth credentials|(?<!permission )\bdenied\b|invalid reference|invalid characters|must be lowercase|no matching manifest|no image found in/i;

/** Whose fault it is that an image cannot be had, by the words of whoever was asked for it: the task's when there is none of that name. */
export function faultOf(words: string): "task" | "sandbox" {
  return ABSENT.test(words) ? "task" : "sandbox";
}

/** The variables of an image; entries that name none are left out, as its engine leaves them out. */
export function variablesOf(entries: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    entries.flatMap((entry) => {
      const at = entry.indexOf("=");
      return at > 0 ? [[entry.slice(0, at), entry.slice(at + 1)]] : [];
    }),
  );
}

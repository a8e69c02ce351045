import { SandlotError } from "../../../errors.ts";

/** Where an image is to be had. */
export type Reference =
  /** What `docker save` writes; `name` where it holds more than one image, else empty. */
  | { readonly type: "archive"; readonly path: string; readonly name: string }
  /** A folder in the layout of the OCI; `tag` as for `name`. */
  | { readonly type: "layout"; readonly path: string; readonly tag: string }
  /** As `docker pull` takes it. */
  | { readonly type: "name"; readonly name: string };

/** Reads `docker-archive:/path.tar[:NAME]`, `oci:/path[:TAG]` or a plain name. Fault `task`: it is none of them. */
export function parseReference(ref: string): Reference {
  const archive = /^docker-archive:(\/[^\0]*?\.tar)(?::(.+))?$/s.exec(ref) ?? /^docker-archive:(\/[^\0:]+)$/.exec(ref);
  if (archive) return { type: "archive", path: archive[1] ?? "", name: archive[2] ?? "" };
  const layout = /^oci:(\/[^\0:]+)(?::([\w.-]+))?$/.exec(ref);
  if (layout) return { type: "layout", path: layout[1] ?? "", tag: layout[2] ?? "" };
  const name = ref.replace(/^docker:\/\//, "");
  if (!/^(oci|docker-archive):/.test(ref) && NAME.test(name) && name.length <= 512) return { type: "name", name };
  throw new SandlotError(
    "task",
    `the image: expected the name of an image, docker-archive:/PATH.tar[:NAME] or oci:/PATH[:TAG], got ${JSON.stringify(ref.slice(0, 200))}`,
    { field: "environment.rootfs" },
  );
}

/** The forms in which tools spell one name: with and without the tag `latest`, and the registry that goes without saying. */
export function spellings(name: string): readonly string[] {
  const tagged = /(:[\w.-]+|@sha256:[0-9a-f]{64})$/.test(name) ? name : `${name}:latest`;
  const bare = tagged.replace(/^docker\.io\/(library\/)?/, "");
  const prefixes = ["", "docker.io/", "docker.io/library/", "localhost/"];
  return [...new Set([name, tagged, ...prefixes.map((prefix) => prefix + bare)])];
}

/** With the registry that `docker pull` means where a name has none. */
export function wholeName(name: string): string {
  const [first = "", ...rest] = name.split("/");
  if (rest.length > 0 && (/[.:]/.test(first) || first === "localhost")) return name;
  return rest.length > 0 ? `docker.io/${name}` : `docker.io/library/${name}`;
}

/** Of a name with a tag and a digest the digest decides, and not every program takes both. */
export function withoutTag(name: string): string {
  return name.replace(/:[\w][\w.-]{0,127}(?=@sha256:)/, "");
}

/** Under which names in a folder of images one may lie: `owner__name__tag`, and without its tag when that is `latest`. */
export function fileNames(name: string): readonly string[] {
  const flat = (text: string): string => text.replaceAll("/", "__").replaceAll(/[:@]/g, "__");
  const whole = flat(name);
  const other = name.endsWith(":latest") ? flat(name.slice(0, -":latest".length)) : `${whole}__latest`;
  return [whole, other];
}

/** Neither starts like an option nor leaves a folder. */
const NAME = /^[A-Za-z0-9][\w.-]*(?::\d+)?(?:\/[A-Za-z0-9][\w.-]*)*(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$/;

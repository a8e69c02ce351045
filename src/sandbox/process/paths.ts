/** A place whose files lie elsewhere on the host. */
export interface Elsewhere {
  readonly inside: string;
  readonly outside: string;
}

/** Where the paths of an environment lie when there is no root file system of its own: this host's system folders, or a copy. */
export class Paths {
  readonly root: string;
  readonly #elsewhere: readonly Elsewhere[];

  constructor(root: string, elsewhere: readonly Elsewhere[]) {
    this.root = root;
    this.#elsewhere = elsewhere.toSorted((a, b) => b.inside.length - a.inside.length);
  }

  /** A path that is located already stays as it is. */
  locate(path: string): string {
    if (!path.startsWith("/") || isBelow(path, this.root)) return path;
    for (const { inside, outside } of this.#elsewhere) {
      if (isBelow(path, outside)) return path;
      if (isBelow(path, inside)) return outside + path.slice(inside.length);
    }
    return SYSTEM.test(path) ? path : path === "/" ? this.root : this.root + path;
  }

  /** Every path in a variable, also in a list such as PATH. Nothing leaves the copy for want of a TMPDIR. */
  locateEnv(env: Readonly<Record<string, string>>): Record<string, string> {
    const located = Object.entries(env).map(([name, value]) => [name, this.#locateList(value)]);
    return { TMPDIR: `${this.root}/tmp`, ...Object.fromEntries(located) };
  }

  #locateList(value: string): string {
    if (!value.startsWith("/")) return value;
    return value
      .split(":")
      .map((part) => this.locate(part))
      .join(":");
  }
}

const SYSTEM = /^\/(usr|bin|sbin|lib\w*|etc|proc|dev|sys|run)(\/|$)/;

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

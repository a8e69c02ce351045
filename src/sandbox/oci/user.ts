import { closeSync, constants, fstatSync, lstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { SandlotError } from "../../errors.ts";

/** Whom the first process, and so every command, runs as. */
export interface User {
  readonly uid: number;
  readonly gid: number;
}

export const ROOT: User = { uid: 0, gid: 0 };

/** Looks a user up as an image spells it, in the layers' own files of users and groups. Fault `task`: there is none of that name. */
export function findUser(spelt: string, layers: readonly string[]): User {
  if (spelt === "") return ROOT;
  const [name = "", group] = spelt.split(":");
  const lines = (file: string): string[][] => (topmost(layers, file) ?? "").split("\n").map((line) => line.split(":"));
  const number = /^\d+$/;
  const entry = lines("passwd").find((fields) => fields[number.test(name) ? 2 : 0] === name);
  if (entry === undefined && !number.test(name)) throw unknown("user", name);
  const uid = Number(entry?.[2] ?? name);
  if (group === undefined) return checked({ uid, gid: Number(entry?.[3] ?? 0) }, spelt);
  if (number.test(group)) return checked({ uid, gid: Number(group) }, spelt);
  const found = lines("group").find(([label]) => label === group);
  if (found === undefined) throw unknown("group", group);
  return checked({ uid, gid: Number(found[2]) }, spelt);
}

/** The file that shows in /etc. Whoever made an image may have put anything there: nothing is followed, and only a plain, short file is read. */
function topmost(layers: readonly string[], name: string): string | undefined {
  for (const layer of layers.toReversed()) {
    const folder = join(layer, "etc");
    if (lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) continue;
    const path = join(folder, name);
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found !== undefined) return found.isFile() && found.size <= MAX_BYTES ? readPlain(path) : undefined;
  }
  return undefined;
}

const MAX_BYTES = 1_048_576;

function readPlain(path: string): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const bytes = Buffer.alloc(Math.min(MAX_BYTES, fstatSync(file).size));
    return bytes.toString("utf8", 0, readSync(file, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(file);
  }
}

const MAX_ID = 2 ** 32 - 2;

function checked(user: User, spelt: string): User {
  for (const id of [user.uid, user.gid]) {
    if (!Number.isSafeInteger(id) || id < 0 || id > MAX_ID) throw unknown("user", spelt);
  }
  return user;
}

function unknown(what: string, name: string): SandlotError {
  return new SandlotError("task", `user: the root file system has no ${what} ${JSON.stringify(name)}`, {
    field: "user",
  });
}

import { ConnectError } from "./connect.ts";
import type { Machine } from "./machine.ts";

export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** Those of a machine's /etc/passwd. */
export class Users {
  readonly #machine: Machine;
  readonly #fallback: string;
  /** As they are when they are first asked for. */
  readonly #known = new Map<string, User>();

  constructor(machine: Machine, fallback: string) {
    this.#machine = machine;
    this.#fallback = fallback;
  }

  /** Of an Authorization header `Basic base64("<user>:")`; without one the sandbox's default user. */
  of(authorization: string | undefined): Promise<User> {
    const encoded = /^Basic (.+)$/.exec(authorization ?? "")?.[1];
    return this.named(encoded === undefined ? undefined : Buffer.from(encoded, "base64").toString().split(":")[0]);
  }

  async named(name = this.#fallback): Promise<User> {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const { stdout } = await this.#machine.run(["/bin/cat", "/etc/passwd"]);
    const line = stdout
      .toString()
      .split("\n")
      .map((each) => each.split(":"))
      .find(([known]) => known === name);
    if (line === undefined) throw new ConnectError("unauthenticated", `user '${name}' not found`);
    const user = { name, uid: Number(line[2]), gid: Number(line[3]), home: line[5] ?? "/" };
    this.#known.set(name, user);
    return user;
  }
}

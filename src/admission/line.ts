/** A GRPO group; size 0 = unknown. */
export interface Group {
  readonly id: string;
  readonly size: number;
}

export interface Waiter {
  readonly owner: string;
  readonly group?: Group;
  admit(): void;
}

/** Who goes together. A gang waits until it is complete, or its patience is over. */
interface Party {
  readonly members: Waiter[];
  /** Members that are waited for. */
  readonly awaited: () => number;
  /** The group's id. */
  readonly gang?: string;
}

/** How many groups that have gone are remembered, so that late members go alone. */
const REMEMBERED = 10_000;

/** The line of one pool: parties by owner; owners take turns. */
export class Line {
  readonly #owners = new Map<string, Party[]>();
  readonly #gangs = new Map<string, { readonly party: Party; readonly timer: NodeJS.Timeout }>();
  readonly #gone = new Set<string>();
  readonly #patienceMs: number;
  readonly #changed: () => void;
  #length = 0;

  /** `changed` is called when a gang may go without its missing members. */
  constructor(patienceMs: number, changed: () => void) {
    this.#patienceMs = patienceMs;
    this.#changed = changed;
  }

  get length(): number {
    return this.#length;
  }

  /** Slots that whoever is next needs; 0 = nobody can go. */
  get wants(): number {
    return this.#head()?.party.members.length ?? 0;
  }

  /** Whether one more may wait where `bound` may. A gang has places for all its members from the first on: else a full line of halves would wait for halves that are turned away. */
  takes(group: Group | undefined, bound: number): boolean {
    if (group && this.#gangs.has(group.id)) return true;
    const kept = [...this.#gangs.values()].reduce((sum, { party }) => sum + party.awaited(), 0);
    return this.#length + kept < bound;
  }

  join(waiter: Waiter): void {
    this.#length += 1;
    const { group, owner } = waiter;
    if (!group || group.size <= 1 || this.#gone.has(group.id))
      this.#append(owner, { members: [waiter], awaited: () => 0 });
    else {
      const gang = this.#gangs.get(group.id);
      if (gang) gang.party.members.push(waiter);
      else this.#found(waiter, group);
    }
  }

  leave(waiter: Waiter): void {
    for (const [owner, parties] of this.#owners) {
      const party = parties.find(({ members }) => members.includes(waiter));
      if (!party) continue;
      party.members.splice(party.members.indexOf(waiter), 1);
      this.#length -= 1;
      if (party.members.length === 0) this.#drop(owner, party);
      return;
    }
  }

  /** Takes the next party that is complete and fits, if the one whose turn it is fits: a large gang is not overtaken for ever. */
  next(room: number): readonly Waiter[] {
    const head = this.#head();
    if (!head || head.party.members.length > room) return [];
    const { owner, party } = head;
    this.#drop(owner, party);
    const rest = this.#owners.get(owner);
    if (rest) {
      this.#owners.delete(owner); // to the end of the turns
      this.#owners.set(owner, rest);
    }
    this.#length -= party.members.length;
    if (party.gang !== undefined) this.#remember(party.gang);
    return party.members;
  }

  /** The party whose turn it is. */
  #head(): { owner: string; party: Party } | undefined {
    for (const [owner, parties] of this.#owners) {
      const party = parties.find(({ awaited }) => awaited() === 0);
      if (party) return { owner, party };
    }
    return undefined;
  }

  #found(waiter: Waiter, { id, size }: Group): void {
    let patient = true;
    const party: Party = {
      gang: id,
      members: [waiter],
      awaited: () => (patient ? Math.max(0, size - party.members.length) : 0),
    };
    const timer = setTimeout(() => {
      patient = false;
      this.#changed();
    }, this.#patienceMs);
    timer.unref();
    this.#gangs.set(id, { party, timer });
    this.#append(waiter.owner, party);
  }

  #append(owner: string, party: Party): void {
    const parties = this.#owners.get(owner);
    if (parties) parties.push(party);
    else this.#owners.set(owner, [party]);
  }

  #drop(owner: string, party: Party): void {
    const rest = (this.#owners.get(owner) ?? []).filter((other) => other !== party);
    if (rest.length > 0) this.#owners.set(owner, rest);
    else this.#owners.delete(owner);
    if (party.gang === undefined) return;
    clearTimeout(this.#gangs.get(party.gang)?.timer);
    this.#gangs.delete(party.gang);
  }

  #remember(id: string): void {
    this.#gone.add(id);
    const [oldest] = this.#gone;
    if (this.#gone.size > REMEMBERED && oldest !== undefined) this.#gone.delete(oldest);
  }
}

import { setTimeout as sleep } from "node:timers/promises";

/** Sizes of a series of timings. */
export interface Spread {
  readonly p50: number;
  readonly p99: number;
  readonly n: number;
}

/** One line of a benchmark's result: `ratio` is how many times better ours is. */
export interface Row {
  readonly name: string;
  readonly unit: string;
  readonly ours: Spread;
  readonly peer: Spread & { readonly name: string };
  readonly ratio: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99), n: sorted.length };
}

export async function timed<T>(work: () => Promise<T>): Promise<{ ms: number; value: T }> {
  const began = performance.now();
  const value = await work();
  return { ms: performance.now() - began, value };
}

/**
 * Time for the warm pool to fill again, so that nothing is made while something else is timed. Meanwhile a `neighbour` takes a step now and then: a server in training is never idle, and the first
 * call after an idle half second measures how a machine wakes up.
 */
export async function refilled(neighbour?: () => Promise<unknown>): Promise<void> {
  for (const end = performance.now() + 500; performance.now() < end; await sleep(20)) await neighbour?.();
}

/** Lower is better. */
export function compare(
  name: string,
  unit: string,
  ours: readonly number[],
  peer: { name: string; values: readonly number[] },
): Row {
  const [mine, theirs] = [spread(ours), spread(peer.values)];
  return { name, unit, ours: mine, peer: { name: peer.name, ...theirs }, ratio: theirs.p50 / mine.p50 };
}

export function table(rows: readonly Row[]): string {
  const cells = rows.map(({ name, unit, ours, peer, ratio }) => [
    name,
    unit,
    show(ours.p50),
    show(ours.p99),
    String(ours.n),
    peer.name,
    show(peer.p50),
    show(peer.p99),
    String(peer.n),
    `${show(ratio)}x`,
  ]);
  const head = ["measure", "unit", "ours p50", "p99", "n", "peer", "p50", "p99", "n", "better by"];
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ");
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...cells.map(line)].join("\n");
}

function show(value: number): string {
  if (!Number.isFinite(value)) return "-";
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}

const END_BYTES = 64 * 1024;

/** The first and the last 64 KiB of a log, for the record. */
export function excerpt(log: Uint8Array): string {
  const text = (from: number, to: number): string => Buffer.from(log.subarray(from, to)).toString("utf8");
  if (log.length <= 2 * END_BYTES) return text(0, log.length);
  const left = log.length - 2 * END_BYTES;
  return `${text(0, END_BYTES)}\n[... ${left} bytes ...]\n${text(log.length - END_BYTES, log.length)}`;
}

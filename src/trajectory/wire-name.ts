/** A limit as the wire and the configuration spell it: `memoryMiB` as "memory_mib". */
export function wireName(name: string): string {
  return name.replace("MiB", "_mib").replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

/**
 * Preloaded into a server (`node --import`): kills it, as by kill -9, at the n-th line it writes into a journal. CRASH_AT=<n>:before, <n>:after or <n>:torn
 * (half of the line is in the file).
 */
const [count = "", when = ""] = (process.env["CRASH_AT"] ?? "").split(":");
const at = Number(count);
const write = fs.writeSync;
let lines = 0;

function crash(): never {
  process.kill(process.pid, "SIGKILL");
  for (;;); // the signal is on its way
}

const patched = (fd: number, data: string | NodeJS.ArrayBufferView, offset?: number): number => {
  const text =
    typeof data === "string"
      ? data
      : Buffer.from(data.buffer, data.byteOffset, Math.min(9, data.byteLength)).toString("latin1");
  if (!text.startsWith('{"type":"')) return write(fd, data as Uint8Array, offset);
  lines += 1;
  if (lines === at && when === "before") crash();
  if (lines === at && when === "torn") {
    write(fd, data as Uint8Array, 0, (data as Uint8Array).byteLength >> 1);
    crash();
  }
  const written = write(fd, data as Uint8Array, offset);
  if (lines === at && when === "after") crash();
  return written;
};
fs.writeSync = patched as typeof fs.writeSync;
syncBuiltinESMExports();

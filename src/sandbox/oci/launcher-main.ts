/** The launcher's own program; see launcher.ts. It is started with a channel to its parent and ends, with all that it started, when that closes. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, constants, openSync, rmSync } from "node:fs";
import type { Launch, Launched } from "./launcher.ts";
import { MAKING } from "./makers.ts";

const running = new Set<ChildProcess>();

process.on("message", (message) => {
  const { id, ...launch } = message as Launch & { id: number }; // only launcher.ts speaks here
  run(launch, (launched) => process.send?.({ id, ...launched }));
});

process.on("disconnect", () => {
  for (const child of running) child.kill("SIGKILL");
  process.exit(0);
});

// A terminal sends these to the whole process group: what to do about them is the server's affair.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => undefined);

function run(launch: Launch, done: (launched: Launched) => void): void {
  const started = performance.now();
  const opened: number[] = [];
  let stdout = "";
  const answer = (code: number | null, note = ""): void => {
    done({ code, stdout: stdout + note, milliseconds: performance.now() - started });
  };
  try {
    for (const path of launch.open) opened.push(openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW));
    const [program = "", ...rest] = launch.argv;
    const env = launch.making === undefined ? process.env : { ...process.env, [MAKING]: launch.making };
    const child = spawn(program, rest, { stdio: ["ignore", "pipe", "ignore", ...opened], env });
    running.add(child);
    const timer = setTimeout(() => child.kill("SIGKILL"), launch.timeoutMs);
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      if (stdout.length < 65_536) stdout += text;
    });
    const settle = once((code: number | null, note?: string) => {
      clearTimeout(timer);
      running.delete(child);
      answer(code, note);
      if (launch.scratch !== undefined) rmSync(launch.scratch, { recursive: true, force: true });
    });
    child.once("error", (error) => settle(null, error.message));
    child.once("close", (code) => settle(code));
    // What a program leaves running may hold the pipe for ever.
    child.once("exit", (code) => setTimeout(() => settle(code), 100).unref());
  } catch (error) {
    answer(null, error instanceof Error ? error.message : String(error));
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

function once<T extends unknown[]>(action: (...values: T) => void): (...values: T) => void {
  let called = false;
  return (...values) => {
    if (!called) action(...values);
    called = true;
  };
}

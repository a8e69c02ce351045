import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockState } from "./state-lock.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sandlot-lock-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("a state folder has one writer, and who comes second hears where to ask", async () => {
  const lock = await lockState(folder);
  lock.announce("127.0.0.1:7");
  await expect(lockState(folder)).rejects.toThrow(`in use by the process ${process.pid}`);
  await expect(lockState(folder)).rejects.toMatchObject({
    message: expect.stringContaining("--server 127.0.0.1:7"),
    facts: { knob: "state_dir" },
  });
  lock.release();
  (await lockState(folder)).release();
});

test("the lock goes with a process that is killed", async () => {
  const program = `import { lockState } from ${JSON.stringify(join(import.meta.dirname, "state-lock.ts"))};
    await lockState(${JSON.stringify(folder)});
    console.log("locked");
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module-typescript", "--eval", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  await expect(lockState(folder)).rejects.toThrow(`in use by the process ${child.pid}`);
  child.kill("SIGKILL");
  await once(child, "exit");
  (await lockState(folder)).release();
});

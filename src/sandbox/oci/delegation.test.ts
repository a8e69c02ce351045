import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import type { Cgroups } from "../cgroup.ts";
import { delegateControllers } from "./delegation.ts";

const VERSION_2 = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].find((place) =>
  existsSync(join(place, "cgroup.controllers")),
);
const LACK = lack();
if (LACK !== undefined) process.stderr.write(`skipped: delegation of control groups: ${LACK}\n`);
const top = join(VERSION_2 ?? "/nowhere", `sandlot-test-${process.pid}`);
let child: ChildProcess | undefined;

afterEach(async () => {
  const ended = new Promise((resolve) => child?.once("exit", resolve));
  child?.kill("SIGKILL");
  await ended;
  for (const folder of [join(top, "init"), top]) if (existsSync(folder)) rmdirSync(folder);
});

/** On a hybrid host version 2 has no controllers: then moving out of the way is all there is to see. */
test.skipIf(LACK !== undefined)(
  "of a top that holds processes moves them into init and hands out what limits",
  async () => {
    mkdirSync(top);
    child = spawn("sleep", ["60"], { stdio: "ignore" });
    const pid = child.pid ?? 0;
    writeFileSync(join(top, "cgroup.procs"), String(pid));
    const controllers = read("cgroup.controllers");
    const cgroups: Cgroups = {
      ...{ version: 2, hybrid: false, swap: false, controllers: new Set(controllers) },
      hierarchies: [{ controllers: [], mountPoint: top, root: "/" }],
    };
    await delegateControllers(cgroups);
    expect(read("cgroup.procs")).toEqual([]);
    expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toContain(`/${top.split("/").at(-1)}/init\n`);
    const limiting = ["cpu", "memory", "pids"].filter((each) => controllers.includes(each));
    expect(read("cgroup.subtree_control").toSorted()).toEqual(limiting);
    await delegateControllers(cgroups); // a second server
  },
);

function read(file: string): string[] {
  return readFileSync(join(top, file), "utf8")
    .split(/\s+/)
    .filter((word) => word !== "");
}

function lack(): string | undefined {
  if (VERSION_2 === undefined) return "cgroup version 2 is not mounted here";
  try {
    accessSync(VERSION_2, constants.W_OK);
  } catch {
    return `${VERSION_2} cannot be written`;
  }
  return undefined;
}

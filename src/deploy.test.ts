import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { z } from "zod";
import { parseConfig } from "./config.ts";

const DEPLOY = join(import.meta.dirname, "../deploy");
const read = (name: string): string => readFileSync(join(DEPLOY, name), "utf8");

const Compose = z.object({
  services: z.object({
    sandlot: z.object({
      security_opt: z.array(z.string()),
      cap_add: z.array(z.string()),
      cgroup: z.string(),
      pid: z.string(),
      volumes: z.array(z.string()),
      stop_grace_period: z.string(),
    }),
  }),
});

test("compose.yaml gives a container what docker-run does", () => {
  const { sandlot } = Compose.parse(parse(read("compose.yaml"))).services;
  const options = read("docker-run").replace(/^#.*$/gm, "").replace(/\\\n/g, " ");
  const given = [...options.matchAll(/--([a-z-]+)[ =]("[^"]*"|\S+)/g)].map(([, name, value]) => `${name} ${value}`);
  expect(given.pop()).toMatch(/^volume .*:\/var\/lib\/sandlot"$/);
  expect(given).toEqual([
    ...sandlot.security_opt.map((one) => `security-opt ${one}`),
    ...sandlot.cap_add.map((one) => `cap-add ${one}`),
    `cgroupns ${sandlot.cgroup}`,
    "volume /sys/fs/cgroup:/sys/fs/cgroup:rw",
    `pid ${sandlot.pid}`,
    `stop-timeout ${sandlot.stop_grace_period.replace("s", "")}`,
  ]);
  expect(sandlot.volumes).toEqual(
    expect.arrayContaining(["sandlot:/var/lib/sandlot", "/sys/fs/cgroup:/sys/fs/cgroup:rw"]),
  );
});

const Volume = z.object({ name: z.string(), hostPath: z.object({ path: z.string() }).optional() });
const StatefulSet = z.object({
  kind: z.literal("StatefulSet"),
  spec: z.object({
    template: z.object({
      spec: z.object({
        hostPID: z.boolean(),
        terminationGracePeriodSeconds: z.number(),
        containers: z.tuple([
          z.object({
            securityContext: z.object({ privileged: z.boolean() }),
            volumeMounts: z.array(z.object({ name: z.string(), mountPath: z.string() })),
          }),
        ]),
        volumes: z.array(Volume),
      }),
    }),
  }),
});

test("pod.yaml gives a container what docker-run does", () => {
  const documents = parseAllDocuments(read("pod.yaml")).map((document): unknown => document.toJS());
  const { spec } = StatefulSet.parse(documents.at(-1)).spec.template;
  const [{ securityContext, volumeMounts }] = spec.containers;
  const shown = new Map(spec.volumes.map(({ name, hostPath }) => [name, hostPath?.path]));
  const places = new Map(volumeMounts.map(({ name, mountPath }) => [mountPath, shown.get(name)]));
  expect(places.get("/sys/fs/cgroup")).toBe("/sys/fs/cgroup");
  expect(places.get("/var/lib/sandlot")).toBe("/var/lib/sandlot");
  expect(spec.hostPID && securityContext.privileged).toBe(true);
  expect(read("docker-run")).toContain(`--stop-timeout ${spec.terminationGracePeriodSeconds} `);
});

test("the settings that come with the container and the pod are settings", () => {
  expect(parseConfig(read("container.yaml"), "container.yaml").tls.cert_file).toBe("/etc/sandlot/tls.crt");
  const documents = parseAllDocuments(read("pod.yaml")).map((document): unknown => document.toJS());
  const settings = z.object({ data: z.object({ "sandlot.yaml": z.string() }) }).parse(documents[0]).data[
    "sandlot.yaml"
  ];
  expect(parseConfig(settings, "sandlot.yaml").tls.key_file).toBe("/etc/sandlot/tls/tls.key");
});

test("the unit stops the server as it wants to be stopped, and nothing in it reaches for the sandboxes", () => {
  const unit = read("sandlot.service");
  const settings = new Map(
    unit.split("\n").flatMap((line) => (/^(\w+)=/.test(line) ? [line.split(/=(.*)/, 2) as [string, string]] : [])),
  );
  expect(settings.get("KillMode")).toBe("mixed");
  expect(Number(settings.get("TimeoutStopSec"))).toBeGreaterThan(10);
  for (const taken of ["ProtectControlGroups", "RestrictNamespaces"]) {
    expect(settings.has(taken)).toBe(false);
  }
});

test.skipIf(!existsSync("/usr/bin/systemd-analyze"))("systemd understands the unit", async () => {
  const { stderr } = await promisify(execFile)("systemd-analyze", ["verify", join(DEPLOY, "sandlot.service")]).catch(
    (error: unknown) => z.object({ stderr: z.string() }).parse(error),
  );
  const complaints = stderr
    .split("\n")
    .filter((line) => line.includes("sandlot.service") && !/sandlot is not executable/.test(line));
  expect(complaints).toEqual([]);
});

import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Backend, Image, Sandbox, SandboxSpec } from "../../src/sandbox/sandbox.ts";
import { availableVariants, bash, newPlace, type Place, specIn } from "../support/backends.ts";
import { copyPrograms, type ImageParts, writeDockerArchive, writeLayout } from "../support/image.ts";
import { leftovers } from "../support/leftovers.ts";

const variants = (await availableVariants()).filter(({ options }) => options.type === "oci");
const variant = variants[0];
const watch = { signal: new AbortController().signal, report: () => {} };

describe.skipIf(variant === undefined)("an image as a root file system", () => {
  let place: Place;
  let backend: Backend;
  let folder: string;
  let base: string;
  let count = 0;

  beforeAll(async () => {
    if (variant === undefined) throw new Error("skipped without a variant");
    folder = mkdtempSync(join(tmpdir(), "sandlot-images-"));
    base = join(folder, "base");
    copyPrograms(base, ["bash", "cat", "ls", "stat", "id"]);
    for (const name of ["etc", "work", "home", "tmp", "hidden/old"]) mkdirSync(join(base, name), { recursive: true });
    writeFileSync(join(base, "etc/passwd"), "root:x:0:0::/root:/bin/bash\nagent:x:1234:1235::/home:/bin/bash\n");
    writeFileSync(join(base, "etc/group"), "root:x:0:\nagents:x:1300:\n");
    writeFileSync(join(base, "work/file"), "from the base\n");
    writeFileSync(join(base, "work/gone"), "deleted above\n");
    chmodSync(join(base, "work/file"), 0o644);
    writeFileSync(join(base, "hidden/old/file"), "hidden by an opaque folder\n");
    place = newPlace(variant);
    backend = await place.open();
  });
  afterAll(async () => {
    await backend?.close();
    expect(leftovers(place.stateDir, place.instance)).toEqual([]);
    await place?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const layer = (name: string, files: Readonly<Record<string, string>>): string => {
    const tree = join(folder, name);
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(tree, path, ".."), { recursive: true });
      writeFileSync(join(tree, path), text);
    }
    return tree;
  };
  const archive = (parts: ImageParts): { ref: string; digest: string } => {
    const path = join(folder, `image-${count++}.tar`);
    return { ref: `docker-archive:${path}`, digest: writeDockerArchive(path, "acme/image:1", parts) };
  };
  const resolve = async (ref: string): Promise<Image> => {
    if (backend.images === undefined) throw new Error("the backend has no images");
    return await backend.images.resolve(ref, watch);
  };
  const within = async <T>(ref: string, changes: Partial<SandboxSpec>, work: (sandbox: Sandbox) => Promise<T>) => {
    const { digest } = await resolve(ref);
    const rootfs = { type: "image", ref, digest } as const;
    const sandbox = await backend.create(specIn(place, { rootfs, layers: [], workdir: "/work", ...changes }));
    try {
      return await work(sandbox);
    } finally {
      await sandbox.dispose();
    }
  };

  test("shows the files of its layers, deleted and replaced as the layers say, and is the same from an archive and a layout", async () => {
    const above = layer("above", { "work/.wh.gone": "", "work/new": "from above\n", "hidden/old/.wh..wh..opq": "" });
    chownSync(join(above, "hidden/old"), 7, 8);
    chmodSync(join(above, "hidden/old"), 0o2750);
    const parts = {
      layers: [base, above],
      config: { Env: ["A=b=c", "PATH=/bin"], WorkingDir: "/work", User: "agent" },
    };
    const { ref, digest } = archive(parts);
    writeLayout(join(folder, "layout"), "one", parts);
    const image = { digest, env: { A: "b=c", PATH: "/bin" }, workdir: "/work", user: "agent" };
    expect(await resolve(ref)).toEqual(image);
    expect(await resolve(`oci:${join(folder, "layout")}:one`)).toEqual(image);
    const told = await within(ref, {}, (sandbox) =>
      bash(
        sandbox,
        "cat file new; ls; ls -A /hidden/old; cat /etc/hosts; echo changed > file; stat -c '%u:%g %a' /work/file /hidden/old",
      ),
    );
    expect(told.stdout).toBe(
      "from the base\nfrom above\nfile\nnew\n127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost ip6-loopback\n0:0 644\n7:8 2750\n",
    );
    expect(await within(ref, {}, async (sandbox) => (await bash(sandbox, "cat file")).stdout)).toBe("from the base\n");
    expect(readdirSync(join(place.stateDir, "images/layers")).filter((name) => !name.startsWith("."))).toHaveLength(2);
  });

  test("runs commands as whom it names, who can write what is theirs and nothing else", async () => {
    const { ref } = archive({ layers: [base] });
    const as = async (user: string) =>
      await within(ref, { user, workdir: "/" }, (sandbox) =>
        bash(sandbox, "id -u; id -g; echo x > /etc/passwd; cat /proc/1/environ; kill -9 -1; true").then(
          ({ stdout }) => stdout,
        ),
      );
    expect(await as("")).toMatch(/^0\n0\n/);
    expect(await as("agent")).toMatch(/^1234\n1235\n/);
    expect(await as("agent:agents")).toMatch(/^1234\n1300\n/);
    expect(await as("77:78")).toMatch(/^77\n78\n/);
    const stays = await within(ref, { user: "agent" }, async (sandbox) => {
      await bash(sandbox, "echo x > /etc/passwd");
      return (await bash(sandbox, "cat /etc/passwd")).stdout;
    });
    expect(stays).toContain("agent:x:1234");
    await expect(within(ref, { user: "nobody-here" }, async () => {})).rejects.toMatchObject({ fault: "task" });
  });

  test("has the devices and processes of a sandbox where it has a link or a file in their place", async () => {
    const odd = join(folder, "odd");
    mkdirSync(odd);
    symlinkSync("/etc", join(odd, "dev"));
    symlinkSync("/etc", join(odd, "proc"));
    writeFileSync(join(odd, "sys"), "a file\n");
    for (const layers of [
      [odd, base],
      [base, odd],
    ]) {
      const script = "echo x > /dev/null && cat /proc/self/comm && [ ! -e /sys ]";
      const told = await within(archive({ layers }).ref, {}, (sandbox) => bash(sandbox, script));
      expect([told.stdout, told.stderr]).toEqual(["cat\n", ""]);
    }
  });

  test("is unpacked once however many ask for it, and found again by the next server", async () => {
    const { ref } = archive({ layers: [base, layer("once", { "work/once": "1" })] });
    const messages: string[] = [];
    const asked = Array.from({ length: 8 }, () =>
      backend.images?.resolve(ref, { signal: watch.signal, report: ({ message }) => messages.push(message) }),
    );
    const [first, ...others] = await Promise.all(asked);
    for (const other of others) expect(other).toEqual(first);
    expect(messages.some((message) => message.startsWith("unpacking layer 2 of 2"))).toBe(true);
    await backend.close();
    backend = await place.open();
    const again: string[] = [];
    await backend.images?.resolve(ref, { signal: watch.signal, report: ({ message }) => again.push(message) });
    expect(again).toEqual([]);
  });

  test("that is hostile writes nothing outside of its own layer", async () => {
    const evil = join(folder, "evil");
    const victim = join(folder, "victim");
    mkdirSync(join(evil, "a"), { recursive: true });
    mkdirSync(victim);
    writeFileSync(join(evil, "a/owned"), "owned\n");
    symlinkSync(victim, join(evil, "link"));
    const path = join(folder, "evil.tar");
    // A link, then a file through it; a name that leaves the folder; a name from the root.
    execFileSync("tar", ["-cf", path, "-C", evil, "link"]);
    execFileSync("tar", ["-rPf", path, "-C", evil, "--transform", "s,^a,link,", "a/owned"]);
    execFileSync("tar", [
      "-rPf",
      path,
      "-C",
      evil,
      "--transform",
      `s,^a/owned,../../../../../../../..${victim}/up,`,
      "a/owned",
    ]);
    execFileSync("tar", ["-rPf", path, "-C", evil, "--transform", `s,^a/owned,${victim}/root,`, "a/owned"]);
    const { ref } = archive({ layers: [base, path] });
    await resolve(ref).catch((error: unknown) => expect(error).toMatchObject({ fault: "task" }));
    expect(readdirSync(victim)).toEqual([]);
  });

  test("whose bytes are not what it says, that is for another machine, or that is not there, is the task's fault", async () => {
    const wrong = archive({ layers: [base], architecture: "s390x" });
    await expect(resolve(wrong.ref)).rejects.toMatchObject({
      fault: "task",
      message: expect.stringContaining("s390x"),
    });
    const path = join(folder, "layout-broken");
    writeLayout(path, "one", { layers: [layer("small", { "work/small": "1" })] });
    for (const name of readdirSync(join(path, "blobs/sha256"))) {
      const blob = join(path, "blobs/sha256", name);
      const bytes = readFileSync(blob);
      if (bytes[0] === 0x1f) writeFileSync(blob, execFileSync("gzip", ["-c"], { input: "something else" }));
    }
    await expect(resolve(`oci:${path}`)).rejects.toMatchObject({
      fault: "task",
      message: expect.stringContaining("digest"),
    });
    await expect(resolve("docker-archive:/nowhere.tar")).rejects.toMatchObject({ fault: "task" });
    await expect(resolve("oci:relative")).rejects.toMatchObject({ fault: "task" });
    expect(readdirSync(join(place.stateDir, "images/layers/.making"))).toEqual([]);
  });

  test("goes when nobody needs it, with the layers that no other has", async () => {
    const kept = archive({ layers: [base, layer("kept", { "work/kept": "1" })] });
    const other = archive({ layers: [base, layer("other", { "work/other": "1" })] });
    for (const { ref } of [kept, other]) await resolve(ref);
    const { kept: images } = backend.images ?? {};
    const freed = await images?.collect({ keep: new Set([kept.digest]), usedBeforeMs: Date.now() + 1, bytes: 2 ** 50 });
    expect(freed).toBeGreaterThan(0);
    expect(await within(kept.ref, {}, async (sandbox) => (await bash(sandbox, "cat kept")).stdout)).toBe("1");
    const layers = readdirSync(join(place.stateDir, "images/layers")).filter((name) => !name.startsWith("."));
    expect(layers).toHaveLength(2);
    expect(await within(other.ref, {}, async (sandbox) => (await bash(sandbox, "cat other")).stdout)).toBe("1");
  });
});

import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { leaveOut } from "../../../test/support/required.ts";
import { packLayer } from "./pack.ts";
import { paxOf, TAR_END } from "./tar.ts";
import { unpackLayer } from "./unpack.ts";

const isRoot = process.getuid?.() === 0;
if (!isRoot) leaveOut("layers as archives", "oci", "it takes root to make whiteouts");
const never = new AbortController().signal;

describe.skipIf(!isRoot)("a layer", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "archive-test-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function sh(script: string): string {
    return execFileSync("sh", ["-euc", script], { cwd: folder, encoding: "utf8" });
  }

  async function packed(name: string): Promise<{ removed: readonly string[]; list: string[]; tar: string }> {
    const layer = await packLayer(join(folder, name), never);
    const parts: Uint8Array[] = [];
    for await (const part of layer.tar()) parts.push(part);
    const tar = execFileSync("tar", ["-tvf", "-", "--numeric-owner"], {
      input: Buffer.concat(parts),
      encoding: "utf8",
    });
    const list = tar.split("\n").filter((line) => line !== "");
    const names = list.map((line) => line.replace(/ link to .*/, "").replace(/^.* \.\//, ""));
    return { removed: layer.removed, tar, list: names.sort() };
  }

  /** What a sandbox with `lower` below it left, told as an engine tells it, and kept as a layer. */
  async function kept(names: { changed: string[]; removed: string[] }, tar: Uint8Array): Promise<string> {
    const target = join(folder, "kept");
    await unpackLayer(target, { ...names, tar: one(tar) }, never);
    return target;
  }

  it("is packed with what it takes away told apart, and owners, modes, links and long names kept", async () => {
    const long = "l".repeat(200);
    sh(`mkdir -p a/d/${long} a/d/hides; echo x > a/d/${long}/${long}; ln -s /etc/passwd a/d/link; ln a/d/${long}/${long} a/hard
      mknod a/d/gone c 0 0; mknod a/gone2 c 0 0; setfattr -n trusted.overlay.opaque -v y a/d/hides 2>/dev/null ||
        python3 -c 'import os; os.setxattr("a/d/hides", "trusted.overlay.opaque", b"y")'
      chown 7:8 a/d/link a/d -h; chmod 2750 a/d`);
    const { removed, list, tar } = await packed("a");
    expect([...removed].sort()).toEqual(["d/gone", "d/hides", "gone2"]);
    const file = `d/${long}/${long}`;
    expect(list).toEqual(["d/", `d/${long}/`, "d/hides/", "d/link -> /etc/passwd", file, "hard"].sort());
    expect(tar).toMatch(/drwxr-s--- 7\/8 .* \.\/d\/\n/);
  });

  it("that overlayfs alone could read is refused", async () => {
    sh(`mkdir -p a/d; python3 -c 'import os; os.setxattr("a/d", "trusted.overlay.redirect", b"/other")'`);
    await expect(packLayer(join(folder, "a"), never)).rejects.toThrow(/renamed folder.*: d/);
  });

  it("is made of changes: only what changed, whiteouts for what is gone, a mark where a folder was made anew", async () => {
    sh(`mkdir -p root/etc root/new root/again; echo same > root/etc/same; echo other > root/etc/other
      echo 1 > root/new/file; echo 2 > root/again/inside; mknod root/new/device c 1 3`);
    const tar = execFileSync("tar", ["-C", join(folder, "root"), "-cf", "-", "."]);
    const changed = ["/etc", "/etc/other", "/new", "/new/file", "/new/device", "/again", "/again/inside"];
    const target = await kept({ changed, removed: ["/etc/gone", "/again"] }, tar);
    expect(readFileSync(join(target, "etc/other"), "utf8")).toBe("other\n");
    expect(existsSync(join(target, "etc/same"))).toBe(false);
    expect(existsSync(join(target, "new/device"))).toBe(false);
    const gone = lstatSync(join(target, "etc/gone"));
    expect([gone.isCharacterDevice(), gone.rdev]).toEqual([true, 0]);
    expect((await packed("kept")).removed.toSorted()).toEqual(["again", "etc/gone"]);
  });

  it("shows through overlayfs what was there, after a way out and back", async () => {
    sh(`mkdir -p lower/etc lower/again upper work merged out; echo l > lower/etc/gone; echo l > lower/again/old; echo l > lower/etc/kept
      mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
      rm merged/etc/gone; rm -r merged/again; mkdir merged/again; echo n > merged/again/new; umount merged`);
    const layer = await packLayer(join(folder, "upper"), never);
    const parts: Uint8Array[] = [];
    for await (const part of layer.tar()) parts.push(part);
    const target = await kept(
      { changed: ["etc", "again", "again/new"], removed: [...layer.removed] },
      Buffer.concat(parts),
    );
    const shown = sh(
      `mount -t overlay overlay -o lowerdir=${target}:lower merged; cd merged; find . -type f | sort; cd ..; umount merged`,
    );
    expect(shown).toBe("./again/new\n./etc/kept\n");
  });

  it("is never written beside its folder, whatever an archive says", async () => {
    sh(`mkdir evil; echo bad > evil/bad; ln -s ${folder} evil/out`);
    const tar = execFileSync("tar", [
      "-C",
      join(folder, "evil"),
      "-cPf",
      "-",
      "--transform=s,^bad$,out/bad,",
      "out",
      "bad",
    ]);
    const outcome = await kept({ changed: ["out", "out/bad"], removed: [] }, tar).then(
      () => "made",
      () => "refused",
    );
    expect(existsSync(join(folder, "bad"))).toBe(false);
    const upwards = Buffer.concat([paxOf({ path: "../escaped" }), tar.subarray(0, 512), TAR_END]);
    await unpackLayer(join(folder, "kept2"), { tar: one(upwards), changed: ["../escaped"], removed: [] }, never).catch(
      () => undefined,
    );
    expect(existsSync(join(folder, "escaped"))).toBe(false);
    expect(["made", "refused"]).toContain(outcome);
  });

  it("is not there at all when its archive ends too early, and nothing is left of it", async () => {
    sh("mkdir root; head -c 100000 /dev/zero > root/file");
    const tar = execFileSync("tar", ["-C", join(folder, "root"), "-cf", "-", "."]);
    await expect(kept({ changed: ["file"], removed: [] }, tar.subarray(0, 50_000))).rejects.toThrow(/middle of a file/);
    expect(sh("ls")).toBe("root\n");
  });
});

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
}

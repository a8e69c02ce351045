import { execFile, execFileSync } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CONFIG_ENV } from "../environments/git.ts";
import { collectProgram, EXIT, readCollected } from "./collect.ts";

/** The program alone, on folders that stand for the helper's root and the view; its protection by a sandbox is tested in test/contract. */

const LIMIT = 1024 * 1024;
let root = "";
let seal = "";
let copy = "";
let ignored = "";
const pristine = (): string => join(root, "env/testbed");
const tree = (): string => join(root, "view", pristine());
const at = (path: string): string => join(tree(), path);

beforeEach(async () => {
  copy = "";
  ignored = "";
  root = await mkdtemp(join(tmpdir(), "sandlot-collect-"));
  await mkdir(join(pristine(), "docs"), { recursive: true });
  await writeFile(join(pristine(), "a.txt"), "one\ntwo\n");
  await writeFile(join(pristine(), "docs/b.txt"), "b\n");
  await writeFile(join(pristine(), ".gitignore"), "*.log\nbuild/\n");
  await writeFile(join(pristine(), "docs/.gitattributes"), "*.txt text\n");
  git("init", "--quiet", "--initial-branch=main");
  git("add", "--all");
  git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", "base");
  seal = git("rev-parse", "HEAD").trim();
  await mkdir(join(pristine(), "build"));
  await writeFile(join(pristine(), "build/made-by-set-up"), "x");
  await cp(pristine(), tree(), { recursive: true, preserveTimestamps: true });
});
afterEach(() => execFileSync("rm", ["-rf", root])); // which removes deeper trees than Node does

function git(...args: readonly string[]): string {
  return execFileSync("git", args, {
    cwd: pristine(),
    env: { ...CONFIG_ENV, PATH: "/usr/bin:/bin" },
    encoding: "utf8",
  });
}

interface Collected {
  readonly code: number;
  readonly said: string;
  readonly patch: Buffer;
  readonly leftOut: readonly string[];
}

async function collect(): Promise<Collected> {
  const env = {
    ...CONFIG_ENV,
    ...{ PATH: "/usr/bin:/bin", HOME: "/nonexistent", SEAL: seal },
    ...{
      INSIDE: pristine().slice(1),
      PRISTINE: pristine(),
      VIEW: join(root, "view"),
      COPY: copy,
      TAKE_IGNORED: ignored,
    },
    ...{ MAX_PATCH_BYTES: String(LIMIT), MAX_CHANGED_BYTES: String(3 * LIMIT) },
  };
  const options = { cwd: "/", env, encoding: "buffer", maxBuffer: 64 * LIMIT } as const;
  return new Promise((done) => {
    execFile("bash", ["-c", collectProgram()], options, (error, stdout, stderr) =>
      done({
        code: typeof error?.code === "number" ? error.code : 0,
        said: stderr.toString().trim(),
        ...readCollected(stdout),
      }),
    );
  });
}

/** The tree that the patch makes of the seal, as `mode blob path` of a checkout that had nothing to do with the program. */
async function applied(patch: Buffer): Promise<readonly string[]> {
  const folder = join(root, "applied");
  execFileSync("git", ["clone", "--quiet", pristine(), folder], { env: { ...CONFIG_ENV, PATH: "/usr/bin:/bin" } });
  const run = (args: readonly string[], input?: Buffer): Buffer =>
    execFileSync("git", args, { cwd: folder, env: { ...CONFIG_ENV, PATH: "/usr/bin:/bin" }, input });
  if (patch.length > 0) run(["apply", "--whitespace=nowarn", "--index", "-"], patch);
  const listing = run(["-c", "core.quotePath=false", "ls-files", "--stage", "-z"]).toString("latin1");
  return listing
    .split("\0")
    .slice(0, -1)
    .map((line) => line.replace(/^(\d+) \w+ 0\t/, "$1 "));
}

describe("collecting a submission", () => {
  it("finds nothing where nothing changed, whatever set-up left behind", async () => {
    const { code, said, patch, leftOut } = await collect();
    expect({ code, said, patch: patch.toString(), leftOut }).toEqual({ code: 0, said: "", patch: "", leftOut: [] });
  });

  it.each([
    ["as set-up left it", ""],
    ["removed", "rm venv/.gitignore"],
    ["changed", "echo '!*' > venv/.gitignore"],
    ["a link", "ln -sf /etc/hostname venv/.gitignore"],
  ])("goes by an ignore file that set-up made and git does not know of, here %s", async (_, damage) => {
    for (const folder of [pristine(), tree()]) {
      await mkdir(join(folder, "venv/lib"), { recursive: true });
      await writeFile(join(folder, "venv/.gitignore"), "*\n");
      await writeFile(join(folder, "venv/lib/module.py"), "set-up\n");
    }
    await writeFile(at("a.txt"), "changed\n");
    execFileSync("bash", ["-c", damage], { cwd: tree() });
    const { code, patch } = await collect();
    expect(code).toBe(0);
    expect(await applied(patch)).toEqual([
      "100644 .gitignore",
      "100644 a.txt",
      "100644 docs/.gitattributes",
      "100644 docs/b.txt",
    ]);
  });

  it("takes changes, new files, removals, modes, links, binary content and every kind of name", async () => {
    await writeFile(at("a.txt"), "one\r\nchanged");
    await writeFile(at('new\n"quoted".txt'), "x\n");
    await writeFile(Buffer.concat([Buffer.from(at("bytes-")), Buffer.from([0xff, 0xfe])]), "y\n");
    await writeFile(at("-dash"), "z\n");
    await writeFile(at("binary"), Buffer.from([0, 1, 2, 255, 10]));
    await writeFile(at("run.sh"), "#!/bin/sh\n");
    await chmod(at("run.sh"), 0o755);
    await symlink("/etc/passwd", at("link"));
    await rm(at("docs/b.txt"));
    const { code, patch, leftOut } = await collect();
    expect({ code, leftOut }).toEqual({ code: 0, leftOut: [] });
    expect(await applied(patch)).toEqual([
      "100644 -dash",
      "100644 .gitignore",
      "100644 a.txt",
      "100644 binary",
      "100644 bytes-\xff\xfe",
      "100644 docs/.gitattributes",
      "120000 link",
      '100644 new\n"quoted".txt',
      "100755 run.sh",
    ]);
    expect(await readFile(join(root, "applied/a.txt"), "utf8")).toBe("one\r\nchanged");
    expect([...(await readFile(join(root, "applied/binary")))]).toEqual([0, 1, 2, 255, 10]);
  });

  it("goes by the sealed ignore rules and still records what was done to them", async () => {
    await writeFile(at(".gitignore"), "*.py\n!x.log\n");
    await writeFile(at("hidden.py"), "print()\n");
    await writeFile(at("x.log"), "noise\n");
    await writeFile(at("docs/.gitignore"), "*\n");
    await writeFile(at("docs/new.txt"), "n\n");
    const { patch, leftOut } = await collect();
    expect(leftOut).toEqual(["x.log"]);
    expect(await applied(patch)).toEqual([
      "100644 .gitignore",
      "100644 a.txt",
      "100644 docs/.gitattributes",
      "100644 docs/.gitignore",
      "100644 docs/b.txt",
      "100644 docs/new.txt",
      "100644 hidden.py",
    ]);
    expect(await readFile(join(root, "applied/.gitignore"), "utf8")).toBe("*.py\n!x.log\n");
  });

  it("records that ignore rules and attributes were removed", async () => {
    await rm(at(".gitignore"));
    await rm(at("docs/.gitattributes"));
    await writeFile(at("x.log"), "noise\n");
    const { patch, leftOut } = await collect();
    expect(leftOut).toEqual(["x.log"]);
    expect(await applied(patch)).toEqual(["100644 a.txt", "100644 docs/b.txt"]);
  });

  it("runs no filter, no diff driver and no hook of the agent's, and believes none of its attributes", async () => {
    const trap = join(root, "sprung");
    const driver = `touch ${trap}; cat`;
    await writeFile(at(".gitattributes"), "*.txt filter=evil diff=evil\n*.dat -text working-tree-encoding=UTF-16\n");
    await writeFile(
      at(".git/config"),
      `[core]\n\trepositoryformatversion = 0\n\tfsmonitor = ${driver}\n\thooksPath = ${tree()}\n[filter "evil"]\n\tclean = ${driver}\n[diff "evil"]\n\tcommand = ${driver}\n\ttextconv = ${driver}\n`,
    );
    await writeFile(at("a.txt"), "changed\n");
    await writeFile(at("z.dat"), "data\n");
    const { code, patch } = await collect();
    expect(code).toBe(0);
    await applied(patch);
    expect(await readFile(join(root, "applied/a.txt"), "utf8")).toBe("changed\n");
    await expect(readFile(trap)).rejects.toThrow("ENOENT");
  });

  it("needs no git of the agent's, takes the files of repositories within, and names what it leaves out", async () => {
    await rm(at(".git"), { recursive: true });
    await mkdir(at("inner"));
    execFileSync("git", ["init", "--quiet", at("inner")], { env: { ...CONFIG_ENV, PATH: "/usr/bin:/bin" } });
    await writeFile(at("inner/code.py"), "x = 1\n");
    await writeFile(at("docs/.git"), "gitdir: /elsewhere\n");
    execFileSync("mkfifo", [at("pipe")]);
    await rm(at("a.txt"));
    execFileSync("mkfifo", [at("a.txt")]);
    await mkdir(at("build/more"));
    await writeFile(at("build/more/new.o"), "o");
    const { code, patch, leftOut } = await collect();
    expect(code).toBe(0);
    expect([...leftOut].sort()).toEqual(["a.txt", "build/more/new.o", "docs/.git", "inner/.git", "pipe"]);
    expect(await applied(patch)).toEqual([
      "100644 .gitignore",
      "100644 docs/.gitattributes",
      "100644 docs/b.txt",
      "100644 inner/code.py",
    ]);
  });

  it("takes a tree deeper than any path may be, and file names that git forbids, for what they are", async () => {
    const deep = `import os
os.chdir(${JSON.stringify(tree())})
for _ in range(1200):
    os.mkdir("deeper"); os.chdir("deeper")
os.mkfifo("pipe"); os.mkdir(".git"); open(".git/HEAD", "w").close(); open(".gitignore", "w").close(); open("new", "w").close()`;
    execFileSync("python3", ["-c", deep]);
    await mkdir(at(".GIT"));
    await writeFile(at(".GIT/.gitignore"), "*\n");
    await writeFile(at(".GIT/config"), "x\n");
    await mkdir(at("inner/.git/objects"), { recursive: true });
    await writeFile(at("inner/.git/.gitignore"), "*\n");
    await writeFile(at("a.txt"), "changed\n");
    const { code, said, patch } = await collect();
    expect({ code, said }).toEqual({ code: 0, said: "" });
    expect(await applied(patch)).toEqual([
      "100644 .gitignore",
      "100644 a.txt",
      "100644 docs/.gitattributes",
      "100644 docs/b.txt",
    ]);
  });

  it("looks no deeper than 100 folders where very many lie deeper, and says so", async () => {
    const deep = `import os
for chain in range(12):
    os.chdir(${JSON.stringify(tree())})
    os.mkdir(f"chain{chain}"); os.chdir(f"chain{chain}")
    for depth in range(1000):
        os.mkdir("d"); os.chdir("d")
        if depth in (90, 900): open("new", "w").write("new\\n")
    os.mkfifo("pipe")`;
    execFileSync("python3", ["-c", deep]);
    await mkdir(join(pristine(), "build/made"));
    await mkdir(at("build/made"));
    const { code, said, patch, leftOut } = await collect();
    expect({ code, said }).toEqual({ code: 0, said: "" });
    expect(patch.toString().match(/^diff --git a\/chain\d+(\/d){91}\/new /gm)).toHaveLength(12);
    expect(patch.toString().match(/^diff --git /gm)).toHaveLength(12);
    expect([...leftOut].sort()).toEqual(
      Array.from({ length: 12 }, (_, chain) => `chain${chain}/${"d/".repeat(99)}`).sort(),
    );
  });

  it("takes folders that became files or links, and files that became folders", async () => {
    await rm(at("docs"), { recursive: true });
    await symlink("/etc", at("docs"));
    await rm(at("a.txt"));
    await mkdir(at("a.txt"));
    await writeFile(at("a.txt/inside"), "i\n");
    const { code, patch } = await collect();
    expect(code).toBe(0);
    expect(await applied(patch)).toEqual(["100644 .gitignore", "100644 a.txt/inside", "120000 docs"]);
  });

  it.each([
    ["gone", async () => rm(tree(), { recursive: true })],
    ["a link", async () => rm(tree(), { recursive: true }).then(() => symlink("/", tree()))],
    ["no folder", async () => rm(tree(), { recursive: true }).then(() => writeFile(tree(), ""))],
    ["behind a link", async () => replaceByLink(join(root, "view", root))],
  ])("says that a work tree is %s", async (what, damage) => {
    await damage();
    expect(await collect()).toMatchObject({ code: EXIT.noTree, said: what });
  });

  it.each([
    ["one file", "a new or changed file is larger", async () => writeHole("big.bin", LIMIT + 1)],
    [
      "a file of a tebibyte, all of it a hole",
      "a new or changed file is larger",
      async () => writeHole("a.txt", 2 ** 40),
    ],
    ["ignore rules", "a file of rules is larger", async () => writeHole("docs/.gitignore", LIMIT + 1)],
    [
      "all together",
      "the new and changed files together are larger",
      async () => Promise.all(["1", "2", "3", "4"].map((name) => writeHole(name, LIMIT))),
    ],
  ])("refuses what is too large: %s", async (_, reason, write) => {
    await write();
    expect(await collect()).toMatchObject({ code: EXIT.tooLarge, said: reason });
  });

  it("refuses more new files than a patch could name", async () => {
    execFileSync("bash", ["-c", `seq ${LIMIT / 128 + 1} | xargs touch`], { cwd: tree() });
    expect(await collect()).toMatchObject({ code: EXIT.tooLarge, said: "the list of new and changed files is longer" });
  });

  it.each(["no space left on device", "input/output error", "\nout of memory\n"])(
    "is not taken in by a name that says: %s",
    async (words) => {
      await mkdir(at(`${words}/git~1`), { recursive: true });
      await writeFile(at(`${words}/git~1/forbidden`), "x");
      await writeFile(at(`${words}/kept`), "x\n");
      const { code, patch } = await collect();
      expect([code, patch.toString().match(/^\+x$/gm)]).toEqual([0, ["+x"]]);
    },
  );

  it("leaves large files aside that are ignored", async () => {
    await writeHole("core.log", 2 ** 40);
    expect(await collect()).toMatchObject({ code: 0, leftOut: ["core.log"], patch: Buffer.alloc(0) });
  });

  it("takes what is ignored where that is asked for, and leaves out what set-up made", async () => {
    ignored = "yes";
    await writeFile(at("result.log"), "done\n");
    await mkdir(at("build/deep"), { recursive: true });
    await writeFile(at("build/deep/out"), "built\n");
    await writeFile(at("build/made-by-set-up"), "changed");
    await mkdir(at("build/rules"));
    await writeFile(at("build/rules/.gitignore"), "*\n");
    const { code, patch, leftOut } = await collect();
    expect({ code, leftOut }).toEqual({ code: 0, leftOut: [] });
    expect(patch.toString().match(/^\+\+\+ .*$/gm)).toEqual([
      "+++ b/build/deep/out",
      "+++ b/build/rules/.gitignore",
      "+++ b/result.log",
    ]);
  });

  it.each([[LIMIT], [2 ** 40]])("leaves aside what is ignored where it has %i bytes more than fit", async (bytes) => {
    ignored = "yes";
    await writeFile(at("a.txt"), "changed\n");
    await writeFile(at("result.log"), "done\n");
    await writeHole("core.log", bytes);
    const { code, patch, leftOut } = await collect();
    expect({ code, leftOut }).toEqual({ code: 0, leftOut: ["core.log", "result.log"] });
    expect(patch.toString()).toMatch(/^diff --git a\/a.txt b\/a.txt\n[^~]*\+changed\n$/);
  });

  it("leaves the tree as it is when that is asked for", async () => {
    copy = join(root, "copy");
    await writeFile(at("a.txt"), "changed\n");
    await mkdir(at("inner/.git"), { recursive: true });
    await writeFile(at("inner/.git/HEAD"), "ref: refs/heads/main\n");
    execFileSync("mkfifo", [at("pipe")]);
    const listing = (): string => execFileSync("ls", ["-lARi", tree()], { encoding: "utf8" });
    const before = listing();
    const { code, patch, leftOut } = await collect();
    expect({ code, leftOut }).toEqual({ code: 0, leftOut: ["pipe", "inner/.git"] });
    expect(patch.toString()).toContain("+changed");
    expect(listing()).toBe(before);
  });

  it("fails when what git may take in stays out", async () => {
    await writeFile(at("new.txt"), "new\n");
    // No object can be written: as on a disk without room, which nobody but the host brings about.
    execFileSync("bash", ["-c", "for n in {0..255}; do h=$(printf %02x $n); [ -d $h ] || echo > $h; done"], {
      cwd: join(pristine(), ".git/objects"),
    });
    const said = expect.stringContaining("git could not take in what was changed");
    expect(await collect()).toMatchObject({ code: 1, said });
  });

  it("fails when its own git directory is not what it should be", async () => {
    seal = "0123456789012345678901234567890123456789";
    expect(await collect()).toMatchObject({ code: 1, said: "the helper's own git directory lacks the seal" });
  });
});

async function writeHole(path: string, bytes: number): Promise<void> {
  await writeFile(at(path), "");
  await truncate(at(path), bytes);
}

/** The same files by the same path, but on the way there is a link. */
async function replaceByLink(folder: string): Promise<void> {
  await cp(folder, `${folder}-moved`, { recursive: true });
  await rm(folder, { recursive: true });
  await symlink(`${folder}-moved`, folder);
}

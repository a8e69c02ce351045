import { execFileSync } from "node:child_process";
import { chmodSync, lstatSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Debian packages whose files make a root that both systems run from: a shell, git and Python. */
const PACKAGES = ["base-files", "bash", "coreutils", "findutils", "grep", "sed", "tar", "git", "python3"];
const MERGED = ["/bin", "/lib", "/lib64", "/sbin"];

/** An unpacked root file system made of this machine's own packages and all that they depend on, about 150 MB, with a git repository at /testbed. */
export function buildRoot(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const merged = MERGED.filter((path) => lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink());
  const real = (path: string): string => (merged.some((link) => path.startsWith(`${link}/`)) ? `/usr${path}` : path);
  const files = [...closure(PACKAGES)]
    .flatMap(filesOf)
    .map(real)
    .filter((path) => !path.startsWith("/usr/share/doc") && path !== "/.");
  const archive = execFileSync("tar", ["-C", "/", "-cf", "-", "--no-recursion", "--ignore-failed-read", "-T", "-"], {
    input: [...merged, ...new Set(files.filter((path) => !merged.includes(path)))]
      .map((path) => path.slice(1))
      .join("\n"),
    maxBuffer: 1 << 30,
    stdio: ["pipe", "pipe", "ignore"],
  });
  execFileSync("tar", ["-C", folder, "-xf", "-"], { input: archive });
  for (const path of ["tmp", "root", "proc", "sys", "dev", "testbed", "etc"])
    mkdirSync(join(folder, path), { recursive: true });
  chmodSync(join(folder, "tmp"), 0o1777);
  compileModules(folder);
}

/** As an installed Python has it: its modules compiled, so that no run of a test begins with the compiler. */
function compileModules(folder: string): void {
  const versions = readdirSync(join(folder, "usr/lib")).filter((name) => /^python3\.\d+$/.test(name));
  for (const name of versions) {
    execFileSync("chroot", [folder, "python3", "-m", "compileall", "-q", `/usr/lib/${name}`], { stdio: "ignore" });
  }
}

function closure(names: readonly string[]): Set<string> {
  const found = new Set<string>();
  const left = [...names];
  for (let name = left.pop(); name; name = left.pop()) {
    if (found.has(name) || filesOf(name).length === 0) continue;
    found.add(name);
    const depends = execFileSync("dpkg-query", ["-W", "-f", "$" + "{Depends}, $" + "{Pre-Depends}", name], {
      encoding: "utf8",
    });
    left.push(
      ...depends
        .split(/[,|]/)
        .map((part) => part.trim().replace(/[ :(].*$/, ""))
        .filter(Boolean),
    );
  }
  return found;
}

function filesOf(name: string): string[] {
  try {
    return execFileSync("dpkg", ["-L", name], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
      .split("\n")
      .filter(Boolean);
  } catch {
    return []; // a virtual package
  }
}

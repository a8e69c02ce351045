import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { build, type Plugin } from "esbuild";

/**
 * The server as one JavaScript file with what it reads beside it, in a folder that needs nothing but Node: `node scripts/bundle.ts FOLDER`. Files that
 * a module reads lie where they lie in the checkout; `import.meta` of a bundled module is where its source would be.
 */

const ROOT = resolve(import.meta.dirname, "..");
/** Entry points: what `sandlot` runs, and what the server starts by path, beside the module that does. */
const ENTRIES = {
  sandlot: "src/cli/main.ts",
  "src/sandbox/oci/launcher-main": "src/sandbox/oci/launcher-main.ts",
  "src/verdict/worker": "src/verdict/worker.ts",
};
const RUNNER = "runner/sandlot-runner";
/** CommonJS modules inside ask for these. */
const BANNER = `import { createRequire as $require } from "node:module";
import { dirname as $dirname, join as $join } from "node:path";
import { fileURLToPath as $path, pathToFileURL as $url } from "node:url";
const require = $require(import.meta.url), __filename = $path(import.meta.url), __dirname = $dirname(__filename);`;

async function bundle(target: string): Promise<void> {
  rmSync(target, { recursive: true, force: true });
  for (const [name, entry] of Object.entries(ENTRIES)) {
    const outfile = join(target, `${name}.js`);
    const up = relative(dirname(outfile), target) || ".";
    await build({
      absWorkingDir: ROOT,
      entryPoints: [entry],
      outfile,
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node22.18",
      banner: { js: BANNER },
      // Built or not, they are for speed only: who asks for them does without.
      external: ["cpu-features", "*.node"],
      legalComments: "inline",
      logLevel: "warning",
      plugins: [inPlace(up)],
    });
  }
  const { name, version, license, engines } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  writeFileSync(join(target, "package.json"), JSON.stringify({ name, version, license, engines, type: "module" }));
  for (const file of dataFiles()) copy(file, target);
  copy(RUNNER, target);
  chmodSync(join(target, RUNNER), 0o755);
}

/** `import.meta` of a source as if it lay, compiled, `up` from the bundle at its own place. */
function inPlace(up: string): Plugin {
  return {
    name: "in-place",
    setup({ onLoad }) {
      onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
        const source = readFileSync(path, "utf8");
        if (!source.includes("import.meta.")) return undefined;
        const place = relative(ROOT, path).replace(/\.ts$/, ".js");
        const at = `$join(__dirname, ${JSON.stringify(up)}, ${JSON.stringify(place)})`;
        const contents = source
          .replaceAll("import.meta.filename", at)
          .replaceAll("import.meta.dirname", `$dirname(${at})`)
          .replaceAll("import.meta.url", `$url(${at}).href`);
        return { contents, loader: "ts" };
      });
    },
  };
}

/** All that is tracked beside the sources of the server and is no source, and the settings that come with it. */
function dataFiles(): string[] {
  const tracked = execFileSync("git", ["ls-files", "-z", "src", "config"], { cwd: ROOT, encoding: "utf8" });
  const only = /^src\/(?!.*\.ts$|gen\/|verdict\/parity\/)|^config\//;
  return [...tracked.split("\0").filter((file) => only.test(file)), "LICENSE"];
}

function copy(file: string, target: string): void {
  const source = join(ROOT, file);
  if (!statSync(source, { throwIfNoEntry: false })?.isFile()) throw new Error(`${file} is missing: run scripts/setup`);
  mkdirSync(dirname(join(target, file)), { recursive: true });
  cpSync(source, join(target, file));
}

const [target] = process.argv.slice(2);
if (target === undefined) throw new Error("Usage: node scripts/bundle.ts FOLDER");
await bundle(resolve(target));

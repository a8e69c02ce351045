import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fetchImage } from "./fetch.ts";

/** A podman that has no image, writes down what it is asked for, and brings nothing. */
const PODMAN = `#!/bin/sh
echo "$@" >> "$0.asked"
case "$1" in --version) echo podman 1; exit 0 ;; esac
echo "manifest unknown" >&2
exit 1
`;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sandlot-fetch-"));
  await writeFile(join(folder, "podman"), PODMAN, { mode: 0o755 });
});
afterEach(() => rm(folder, { recursive: true }));

describe("an image that podman is to bring", () => {
  it.each([
    ["alexgshaw/fix-git:20260403", "docker.io/alexgshaw/fix-git:20260403"],
    ["debian:12", "docker.io/library/debian:12"],
    ["ghcr.io/acme/x", "ghcr.io/acme/x"],
    ["localhost/mine:1", "localhost/mine:1"],
    ["127.0.0.1:5000/mine", "127.0.0.1:5000/mine"],
  ])("has the name that docker means by %s", async (name, whole) => {
    const fetching = {
      ...{ name, scratch: folder, env: { PATH: folder } },
      ...{ signal: new AbortController().signal, report: () => {} },
    };
    await expect(fetchImage(fetching)).rejects.toThrow(/podman could not bring the image .*manifest unknown/s);
    const asked = (await readFile(join(folder, "podman.asked"), "utf8")).trim().split("\n");
    expect(asked.at(-1)).toBe(`pull --quiet ${whole}`);
  });
});

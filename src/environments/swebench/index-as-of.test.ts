import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../../../test/support/backends.ts";
import { findInterpreters } from "../interpreters.ts";
import { findPythonWithPip } from "./tools.ts";

const FILES = [
  {
    filename: "thing-1.0.tar.gz",
    url: "thing-1.0.tar.gz",
    hashes: { sha256: "aa" },
    "upload-time": "2020-05-01T10:00:00Z",
  },
  {
    filename: "thing-2.0.tar.gz",
    url: "thing-2.0.tar.gz",
    hashes: {},
    "requires-python": ">=3.8",
    "upload-time": "2023-11-01T23:59:59Z",
  },
  { filename: "thing-3.0.tar.gz", url: "thing-3.0.tar.gz", hashes: {}, "upload-time": "2024-01-01T00:00:00Z" },
];
const HTML = `<html><body>
<a href="../files/other-1.0.whl#sha256=bb" data-requires-python="&gt;=3.6" data-upload-time="2021-01-01T00:00:00Z">other-1.0.whl</a><br/>
<a href="../files/other-9.0.whl" data-upload-time="2025-01-01T00:00:00Z">other-9.0.whl</a><br/>
<a href="../files/other-old.whl">other-old.whl</a><br/>
</body></html>`;

const found = await findInterpreters({
  named: [],
  versionFolders: [`${process.env["HOME"]}/.pyenv/versions`],
  hostPath: "/usr/local/bin:/usr/bin",
});
const python = await findPythonWithPip(found, { variables: {} });

describe.skipIf(python === undefined)("an index as of a day", () => {
  let upstream: Server;
  let program: ChildProcess;
  let folder: string;
  let view: string;

  beforeAll(async () => {
    upstream = createServer((request, response) => {
      if (request.url === "/simple/thing/") {
        response.setHeader("Content-Type", "application/vnd.pypi.simple.v1+json").end(JSON.stringify({ files: FILES }));
      } else if (request.url === "/simple/other/") response.setHeader("Content-Type", "text/html").end(HTML);
      else response.writeHead(404).end();
    });
    upstream.listen(0, "127.0.0.1");
    await once(upstream, "listening");
    const address = upstream.address();
    const index = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/simple`;
    folder = await mkdtemp(join(tmpdir(), "sandlot-index-"));
    const script = new URL("./index_as_of.py", import.meta.url).pathname;
    program = spawn(python ?? "", ["-B", script, join(folder, "port"), index], { stdio: "ignore", env: {} });
    await eventually("the view has a port", () => existsSync(join(folder, "port")));
    view = `http://127.0.0.1:${await readFile(join(folder, "port"), "utf8")}`;
  });

  afterAll(async () => {
    program.kill("SIGKILL");
    await once(program, "close");
    upstream.close();
    await rm(folder, { recursive: true, force: true });
  });

  const names = async (path: string): Promise<readonly string[]> =>
    [...(await (await fetch(`${view}${path}`)).text()).matchAll(/>([^<>\s]+)<\/a>/g)].map((match) => match[1] ?? "");

  test("leaves out what was uploaded later, told by JSON or by HTML", async () => {
    expect(await names("/2023-11-01/thing/")).toEqual(["thing-1.0.tar.gz", "thing-2.0.tar.gz"]);
    expect(await names("/2023-11-01/other/")).toEqual(["other-1.0.whl", "other-old.whl"]);
    expect(await names("/2024-11-01/thing/")).toHaveLength(3);
  });

  test("keeps addresses, hashes and the Python that a file requires", async () => {
    const page = await (await fetch(`${view}/2023-11-01/other/`)).text();
    expect(page).toMatch(
      /href="http:\/\/127\.0\.0\.1:\d+\/simple\/files\/other-1\.0\.whl#sha256=bb" data-requires-python="&gt;=3\.6"/,
    );
    expect(await (await fetch(`${view}/2023-11-01/thing/`)).text()).toMatch(/thing-1\.0\.tar\.gz#sha256=aa/);
  });

  test("serves a project whole that had nothing by then, and knows none that the index does not know", async () => {
    expect(await names("/2019-01-01/thing/")).toHaveLength(3);
    expect((await fetch(`${view}/2023-11-01/nothing/`)).status).toBe(404);
  });
});

import type { IncomingMessage, ServerResponse } from "node:http";

/**
 * Makes of the test server another service than E2B's: it uses every liberty that the protocol leaves, or that services take. Calls that others lack too are not there (old list only, new create only,
 * no names of templates, no snapshots), refusals are pages in HTML, what is gone is 410, success is always 200, an answer has the required fields only and some that nobody knows, and lists tell
 * no metadata and do not filter. Streams have nulls, numbers as texts and the names of the protocol's own file, and end without a last frame. True when the request is answered already.
 */
export function answerSparsely(request: IncomingMessage, response: ServerResponse): boolean {
  const [path = "", query] = (request.url ?? "").split("?");
  const line = `${request.method} ${path}`;
  if (request.headers["e2b-sandbox-id"] !== undefined) {
    if (/process\.Process\/(Start|Connect)$/.test(path)) rewriteFrames(response);
    return false;
  }
  const absent = ABSENT.find(([at]) => at.test(line));
  if (absent !== undefined) {
    request.resume();
    const [, status] = absent;
    response.writeHead(status, { "content-type": "text/html" }).end(page(status));
    return true;
  }
  if (query !== undefined && path === "/sandboxes") request.url = path; // it does not know how to filter
  rewriteAnswer(line, response);
  return false;
}

const ABSENT: readonly (readonly [RegExp, number])[] = [
  [/^GET \/v2\/sandboxes$/, 404],
  [/^POST \/sandboxes$/, 404],
  [/^POST \/sandboxes\/[^/]+\/connect$/, 405],
  [/^POST \/sandboxes\/[^/]+\/snapshots$/, 403],
  [/^GET \/templates\/aliases\//, 404],
  [/^GET \/templates\/[^/]+$/, 405],
];

const page = (status: number): string => `<html><body><h1>${status}</h1>nginx</body></html>`;

/** Of what is answered, the fields that are kept. */
const KEPT = ["sandboxID", "templateID", "buildID", "status", "reason"];
const WORDS: Readonly<Record<string, string>> = { ready: "success", building: "IN_PROGRESS", error: "failed" };

function rewriteAnswer(line: string, response: ServerResponse): void {
  const writeHead = response.writeHead.bind(response);
  const end = response.end.bind(response);
  let status = 200;
  response.writeHead = (code: number) => {
    status = code;
    return response;
  };
  response.end = (body?: unknown) => {
    const failed = status >= 400;
    const gone = status === 404 && / \/sandboxes\//.test(line);
    writeHead(failed ? (gone ? 410 : status) : 200, { "content-type": failed ? "text/html" : "application/json" });
    if (failed) return end(page(status));
    return end(typeof body === "string" && body !== "" ? JSON.stringify(sparse(JSON.parse(body), line)) : "OK");
  };
}

function sparse(value: unknown, line: string): unknown {
  if (Array.isArray(value)) return value.map((one) => sparse(one, line));
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value).filter(([name]) => KEPT.includes(name) || (name === "metadata" && isDetail(line)));
  const told = Object.fromEntries(kept.map(([name, one]) => [name, name === "status" ? (WORDS[one] ?? one) : one]));
  return { ...told, domain: null, envdAccessToken: null, region: { name: "moon", zones: [1, 2] } };
}

const isDetail = (line: string): boolean => /^GET \/sandboxes\/[^/]+$/.test(line);

/** Each write is one frame: a byte of flags, the size, JSON. */
function rewriteFrames(response: ServerResponse): void {
  const write = response.write.bind(response);
  response.write = (frame: Buffer) => {
    const { event } = JSON.parse(frame.toString("utf8", 5));
    if (event === undefined) return true; // no last frame: the answer just ends
    const said = {
      start: event.start ?? null,
      data: event.data ?? null,
      end: null,
      keepalive: event.keepalive ?? null,
    };
    if (event.start !== undefined) said.start = { pid: String(event.start.pid) };
    if (event.data !== undefined) said.data = { stdout: null, stderr: null, pty: null, ...event.data };
    const { exitCode, status } = event.end ?? {};
    const end = event.end === undefined ? null : { exit_code: exitCode, status, error: null };
    const body = Buffer.from(JSON.stringify({ event: { ...said, end }, error: null }));
    const head = Buffer.alloc(5);
    head.writeUInt32BE(body.length, 1);
    return write(Buffer.concat([head, body]));
  };
}

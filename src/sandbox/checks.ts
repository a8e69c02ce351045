import { posix } from "node:path";
import { SandlotError } from "../errors.ts";
import type { ExecOptions, ReadRange, SandboxSpec, View } from "./sandbox.ts";

const ID = /^sandlot-[0-9a-f]{8,12}-[0-9a-f]{32}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const USER = /^(?:[\w.-]{1,64}(?::[\w.-]{1,64})?)?$/;
const CALL_ID = /^[A-Za-z0-9._-]{1,64}$/;
/** Folders that are the runtime's own. */
const RESERVED = /^\/(proc|dev|sys)(\/|$)/;

/** Fault `invalid` names the field. */
export function checkSpec(spec: SandboxSpec): void {
  if (!ID.test(spec.id)) wrong("id", "sandlot-<instance>-<32 hex digits>", spec.id);
  if (spec.rootfs.type === "directory") checkPath("rootfs.path", spec.rootfs.path);
  if (spec.rootfs.type === "image" && !DIGEST.test(spec.rootfs.digest)) {
    wrong("rootfs.digest", "sha256: and 64 hex digits", spec.rootfs.digest);
  }
  for (const layer of spec.layers) checkPath("layers", layer);
  for (const { source, target } of spec.binds) {
    checkPath("binds.source", source);
    checkMountPoint("binds.target", target);
  }
  for (const view of spec.views) checkView(view);
  checkPath("workdir", spec.workdir);
  checkEnv(spec.env);
  if (spec.user !== undefined && !USER.test(spec.user)) wrong("user", "a user as an image spells it", spec.user);
  for (const [name, value] of Object.entries(spec.limits)) {
    if (!Number.isSafeInteger(value) || value < 1) wrong(`limits.${name}`, "a whole number above 0", value);
  }
}

export function checkView({ of, at, within }: View): void {
  if (within !== undefined) checkPath("views.within", within);
  if (!ID.test(of)) wrong("views.of", "a sandbox's id", of);
  checkMountPoint("views.at", at);
}

export function checkExec(argv: readonly string[], options: ExecOptions): void {
  checkCallId(options.callId);
  if (argv.length === 0 || argv[0] === "") wrong("argv", "a program", argv);
  for (const word of argv) noNul("argv", word);
  if (options.cwd !== undefined) checkPath("cwd", options.cwd);
  if (options.env !== undefined) checkEnv(options.env);
  if (!(options.timeoutMs > 0) || !Number.isFinite(options.timeoutMs)) {
    wrong("timeoutMs", "milliseconds above 0", options.timeoutMs);
  }
  for (const name of ["noOutputTimeoutMs", "keepBytes", "spillBytes"] as const) {
    const value = options[name] ?? 0;
    if (!Number.isFinite(value) || value < 0) wrong(name, "0 or more", value);
  }
  if ((options.keepBytes ?? 0) > MAX_KEEP) wrong("keepBytes", `at most ${MAX_KEEP}`, options.keepBytes);
}

export function checkFile(path: string, options: ReadRange & { readonly callId: string }): void {
  checkCallId(options.callId);
  checkPath("path", path);
  if ((options.maxBytes ?? 0) < 0) wrong("maxBytes", "0 or more", options.maxBytes);
  if ((options.offset ?? 0) < 0) wrong("offset", "0 or more", options.offset);
}

const MAX_KEEP = 64 * 1_048_576;

function checkCallId(callId: string): void {
  if (!CALL_ID.test(callId)) wrong("callId", "1 to 64 letters, digits, dots, dashes or underscores", callId);
}

function checkPath(field: string, path: string): void {
  noNul(field, path);
  if (!path.startsWith("/")) wrong(field, "an absolute path", path);
}

function checkMountPoint(field: string, path: string): void {
  checkPath(field, path);
  if (posix.normalize(path) !== path || path === "/" || path.endsWith("/") || RESERVED.test(path)) {
    wrong(field, "a plain absolute path outside /proc, /dev and /sys", path);
  }
}

function checkEnv(env: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(env)) {
    noNul("env", value);
    if (name === "" || /[=\0]/.test(name)) wrong("env", "names without = and NUL", name);
  }
}

function noNul(field: string, text: string): void {
  if (text.includes("\0")) wrong(field, "no NUL byte", text);
}

function wrong(field: string, expected: string, got: unknown): never {
  const shown = JSON.stringify(got) ?? "nothing";
  throw new SandlotError("invalid", `${field}: expected ${expected}, got ${shown.slice(0, 200)}`, { field });
}

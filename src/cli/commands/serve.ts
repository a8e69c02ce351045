import { renameSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Logger } from "pino";
import { SandlotError } from "../../errors.ts";
import { type Listening, listen } from "../../server/listen.ts";
import { type Command, parse } from "../arguments.ts";
import { openStack, type Stack } from "../compose.ts";
import { openLog } from "../log.ts";
import { readSettings, STACK_HELP, STACK_OPTIONS } from "../settings.ts";
import { followTls, openTls } from "../tls.ts";
import { VERSION } from "../version.ts";

const DRAIN_MS = 10_000;
/** One Ctrl-C can arrive twice: from the terminal and from a parent that passes it on. */
const ECHO_MS = 1_000;

export const serve: Command = {
  help: `Usage: sandlot serve [OPTIONS]

  --listen HOST:PORT where to listen (else SANDLOT_LISTEN, the configuration, or 127.0.0.1:50051); port 0 = any
  --ready-file FILE  removed at the start; holds the address once the server serves
${STACK_HELP}

SIGTERM or SIGINT: no new trajectory is taken, running steps get ${DRAIN_MS / 1000} s, live trajectories stay for the next start. A second signal ends it at once.`,
  async run(args) {
    const flags = parse(args, { ...STACK_OPTIONS, listen: { type: "string" }, "ready-file": { type: "string" } });
    const readyFile = flags["ready-file"] === undefined ? undefined : resolve(flags["ready-file"]);
    if (readyFile !== undefined) rmSync(readyFile, { force: true });
    const settings = readSettings(flags);
    // Before anything is opened: a token or a certificate that cannot be read throws.
    const { tokens } = settings.credentials;
    const tls = openTls(settings.config.tls);
    const log = openLog(settings.config.log.level, settings.credentials);
    dieOfBugs(log);
    const stopped = stopSignal(log);
    const early = new AbortController();
    void stopped.then(() => early.abort(new SandlotError("draining", "told to stop before it served")));
    const stack = await openStack(settings, log, early.signal);
    const server = await listen({
      address: settings.listen,
      tokens,
      tls,
      clearText: settings.config.tls.tokens_travel_in_clear_text,
      rollouts: stack.rollouts,
      version: VERSION,
      sandboxService: settings.config.sandbox_service.enabled,
      log,
    }).catch(async (error: unknown) => {
      await stack[Symbol.asyncDispose]();
      throw error;
    });
    const unfollow = tls && followTls(tls, settings.config.tls, log);
    stack.announce(server.address);
    server.setServing(true);
    process.stdout.write(`${welcome(server, stack)}\n`);
    if (settings.config.grading.kind === "structural") process.stdout.write(`${NO_REWARDS}\n`);
    if (readyFile !== undefined) announce(readyFile, server.address);
    await stopped;
    unfollow?.();
    await stop(server, stack);
    if (readyFile !== undefined) rmSync(readyFile, { force: true });
    log.info("stopped");
    return 0;
  },
};

const NO_REWARDS = "Grading is STRUCTURAL: no test is run, and no grade has a reward (grading.kind)";

function welcome({ address }: Listening, { rollouts, stateDir }: Stack): string {
  const { backend, isolated } = rollouts.info();
  const { resumed } = rollouts.reconciled;
  const again = resumed > 0 ? `, taken up again: ${resumed}` : "";
  const warning = isolated ? "" : " (NO ISOLATION: commands run as you, on this machine)";
  return `Sandlot ${VERSION} serves on ${address}: ${rollouts.tasks().length} tasks, backend ${backend}${warning}, state in ${stateDir}${again}`;
}

/** By rename: who waits for the file never reads half of it. */
function announce(file: string, address: string): void {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${address}\n`);
  renameSync(draft, file);
}

async function stop(server: Listening, stack: Stack): Promise<void> {
  server.setServing(false);
  await stack.rollouts.drain(DRAIN_MS);
  await server.close(200);
  await stack[Symbol.asyncDispose]();
}

function stopSignal(log: Logger): Promise<void> {
  const { promise, resolve: stopNow } = Promise.withResolvers<void>();
  let first = Number.POSITIVE_INFINITY;
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    process.on(name, () => {
      if (performance.now() - first > ECHO_MS) process.exit(1);
      first = Math.min(first, performance.now());
      log.info({ signal: name }, "stopping");
      stopNow();
    });
  }
  return promise;
}

/** After what nobody foresaw nothing can be trusted but the state folder, which is made to survive this. */
function dieOfBugs(log: Logger): void {
  const die = (err: unknown): void => {
    log.fatal({ err }, "a bug");
    process.exit(1);
  };
  process.on("uncaughtException", die);
  process.on("unhandledRejection", die);
}

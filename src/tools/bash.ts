import type { ExecOptions, ExecResult, Sandbox } from "../sandbox/sandbox.ts";
import { difference, parseDeclarations, quoted, restored } from "./exported.ts";
import { showOutput } from "./text.ts";
import type { OutputCaps, Tool, ToolCall, ToolState } from "./tool.ts";

/** As much as a sandbox gives back of descriptor 9. */
const STATE_BYTES = 256 << 10;

/** Runs a command. Working directory and exported variables live on as data, not as a shell that is kept: see `state.cwd` and `state.exported`. */
export const bash: Tool = {
  schema: {
    type: "function",
    function: {
      name: "bash",
      description:
        "Runs a bash command and returns its output, standard output and errors together. The working directory and exported variables are kept between calls; functions, aliases and other variables are not. Background processes go on running. There is no terminal and no input.",
      parameters: {
        type: "object",
        properties: {
          command: { type: "string", description: "The command; several lines are fine." },
          stateless: {
            type: "boolean",
            description:
              "True: start in the repository with the initial environment, and keep nothing for later calls. Default false.",
          },
        },
        required: ["command"],
      },
    },
  },
  async run(args, call) {
    const command = String(args["command"]);
    const stateless = args["stateless"] === true;
    const result = await execute(command, stateless, call);
    const saved = stateless || isCut(result) ? "none" : readState(result.state, call);
    const { text, cut } = render(result, call, { stateless, stateLost: saved === "too large" });
    return {
      kind: result.interrupted ? "INTERRUPTED" : result.timedOut ? "TIMED_OUT" : "OK",
      text,
      state: typeof saved === "string" ? call.state : saved,
      ...(result.exitCode === undefined ? {} : { exitCode: result.exitCode }),
      ...(result.signal === undefined ? {} : { signal: result.signal }),
      outputBytes: result.outputBytes,
      truncated: cut,
      ...(result.spillPath === undefined ? {} : { spillPath: result.spillPath }),
      oomKills: result.oomKills,
      commandMs: result.durationMs,
      output: result.output,
    };
  },
};

/**
 * The command comes on stdin: it may be longer than one argument can be, and `pkill -f` with a word of it does not find its own shell. The wrapper is one line, so that line numbers are
 * those of the command.
 */
const READ = `IFS= builtin read -r -d '' __command; SECONDS=0; [[ -c /dev/null ]] && exec </dev/null`;
const RUN = `builtin eval "builtin unset __command; $__command"`;
/**
 * Descriptor 9 moves out of the way of commands that use it (`flock 9`). It is opened anew to be truncated, `>|` for those who set noclobber; a failure changes no exit code, and nothing
 * shows under \`set -x\`. A command with an EXIT trap of its own, or that ends in \`exec\`, saves nothing.
 */
const SAVE = `{ builtin pwd; builtin printf '\\0'; builtin declare -px; builtin printf '\\0END'; } 2>/dev/null >|/proc/self/fd/199 || builtin :`;
const KEEP = `exec 199>&9 9>&-; trap ${quoted(SAVE)} EXIT`;

function execute(command: string, stateless: boolean, call: ToolCall): Promise<ExecResult> {
  const { sandbox, state, timeoutMs, noOutputTimeoutMs, keepBytes, spillBytes } = call;
  const { argv, ...shell } = shellFor(sandbox.env, stateless ? undefined : state);
  return sandbox.exec(argv, {
    ...shell,
    stdin: Buffer.from(command),
    ...{ timeoutMs, noOutputTimeoutMs, keepBytes, spillBytes },
    repeats: true,
  });
}

/** Lets a new sandbox start the shell of its first command while nobody waits for it. */
export async function expectBash(sandbox: Sandbox, { keepBytes, spillBytes }: OutputCaps): Promise<void> {
  const { argv, ...shell } = shellFor(sandbox.env, {});
  const callId = "bash-ahead";
  await sandbox.exec(argv, { callId, ...shell, timeoutMs: AHEAD_MS, keepBytes, spillBytes, repeats: "ahead" });
  sandbox.acknowledge(callId);
}

const AHEAD_MS = 60_000;

/** `state`: absent = nothing is kept, from calls before or for calls after. */
function shellFor(
  env: Sandbox["env"],
  state: ToolState | undefined,
): Required<Pick<ExecOptions, "env" | "captureState">> &
  Pick<ExecOptions, "cwd"> & { readonly argv: readonly string[] } {
  const { environment, preamble } = restored(env, state?.exported ?? {});
  const script = state === undefined ? `${READ}; ${RUN}` : `${READ}; ${KEEP}; ${preamble}${RUN}`;
  const cwd = state?.cwd;
  return {
    argv: ["bash", "--noprofile", "--norc", "-c", script],
    // PWD keeps the name of a folder that was entered by a link.
    ...(cwd === undefined ? {} : { cwd }),
    env: cwd === undefined ? environment : { ...environment, PWD: cwd },
    captureState: state !== undefined,
  };
}

function isCut({ timedOut, interrupted }: ExecResult): boolean {
  return timedOut !== false || interrupted;
}

/** What the command left on the descriptor, which is hostile data: capped, parsed, and of effect in this sandbox only. */
function readState(bytes: Uint8Array | undefined, { sandbox, state }: ToolCall): ToolState | "none" | "too large" {
  const saved = Buffer.from(bytes ?? []);
  const pathEnd = saved.indexOf("\n\0");
  const end = saved.length - 4;
  if (!saved.subarray(end).equals(Buffer.from("\0END")) || pathEnd < 1 || pathEnd + 2 > end)
    return saved.length >= STATE_BYTES ? "too large" : "none";
  const path = saved.subarray(0, pathEnd).toString();
  const cwd = path.startsWith("/") && !path.includes("\0") ? path : undefined;
  const exported = difference(sandbox.env, parseDeclarations(saved.subarray(pathEnd + 2, end)));
  const { cwd: _cwd, exported: _exported, ...rest } = state;
  const next: ToolState = {
    ...rest,
    ...(cwd === undefined || cwd === sandbox.workdir ? {} : { cwd }),
    ...(Object.keys(exported).length === 0 ? {} : { exported }),
  };
  return same(next, state) ? state : next;
}

function same(a: ToolState, b: ToolState): boolean {
  const entries = (state: ToolState): string =>
    JSON.stringify([state.cwd, Object.entries(state.exported ?? {}).toSorted(([x], [y]) => (x < y ? -1 : 1))]);
  return entries(a) === entries(b);
}

function render(
  result: ExecResult,
  { sandbox, timeoutMs, noOutputTimeoutMs, outputBytes, spillBytes }: ToolCall,
  { stateless, stateLost }: { readonly stateless: boolean; readonly stateLost: boolean },
): { readonly text: string; readonly cut: boolean } {
  const { text, cut } = showOutput(result.output, result.outputBytes, {
    limitBytes: outputBytes,
    ...whereabouts(result, spillBytes),
  });
  const asBefore = stateless ? "" : "; working directory and variables are as before it";
  const why = {
    command: `timed out after ${seconds(timeoutMs)}: the command and its processes were ended${asBefore}`,
    no_output: `ended after ${seconds(noOutputTimeoutMs)} without output: the command and its processes were ended${asBefore}`,
  };
  const notes = [
    ...(result.note === undefined ? [] : [result.note]),
    ...(result.oomKills === 0
      ? []
      : [
          `out of memory: the sandbox's limit is ${sandbox.limits.memoryMiB} MiB; processes killed: ${result.oomKills}`,
        ]),
    ...(stateLost
      ? ["the exported variables are too large to be kept: working directory and variables are as before"]
      : []),
    ...(result.timedOut ? [why[result.timedOut]] : []),
    ...(result.interrupted ? [`interrupted: the command and its processes were ended${asBefore}`] : []),
    ...(isCut(result) ? [] : ending(result)),
  ];
  const lines = notes.map((note) => `[${note}]`).join("\n");
  const separator = text === "" || text.endsWith("\n") || lines === "" ? "" : "\n";
  return { text: `${text}${separator}${lines}`, cut };
}

function whereabouts({ spillPath, outputBytes }: ExecResult, spillBytes: number): { readonly where?: string } {
  if (spillPath === undefined) return {};
  const size = spillBytes < 1 << 20 ? `${spillBytes} bytes` : `${Math.floor(spillBytes / (1 << 20))} MiB`;
  return { where: `${outputBytes > spillBytes ? `the first ${size} are` : "all of it is"} in ${spillPath}` };
}

function ending({ exitCode, signal }: ExecResult): readonly string[] {
  if (signal !== undefined) return [`killed by signal ${signal}`];
  return exitCode ? [`exit code ${exitCode}`] : [];
}

function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}

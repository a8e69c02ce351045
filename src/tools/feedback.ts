import { showOutput } from "./text.ts";
import type { StepSandbox } from "./tool.ts";

/** What a task says about feedback after a turn. */
export interface FeedbackPolicy {
  readonly feedback: "none" | "reminder" | "visible_tests";
  readonly visibleTestCommand: string;
}

export interface FeedbackCall {
  /** Whether the turn held a tool call. */
  readonly calledTool: boolean;
  readonly sandbox: StepSandbox;
  readonly timeoutMs: number;
  readonly outputBytes: number;
}

/** Text to append to the chat after a turn; undefined = none. Like a tool, a function of what the sandbox answers. */
export async function feedbackAfterTurn(policy: FeedbackPolicy, call: FeedbackCall): Promise<string | undefined> {
  if (policy.feedback === "visible_tests" && policy.visibleTestCommand !== "")
    return testOutcome(policy.visibleTestCommand, call);
  if (policy.feedback === "none" || call.calledTool) return undefined;
  return "You did not call a tool, so nothing happened. You act only through tool calls; call submit_solution when you are done.";
}

async function testOutcome(command: string, { sandbox, timeoutMs, outputBytes }: FeedbackCall): Promise<string> {
  const result = await sandbox.exec(["bash", "--noprofile", "--norc", "-c", command], {
    timeoutMs,
    keepBytes: 2 * outputBytes,
  });
  const { text } = showOutput(result.output, result.outputBytes, { limitBytes: outputBytes });
  const outcome = result.timedOut
    ? `did not end within ${timeoutMs / 1000} s`
    : result.exitCode === 0
      ? "passed"
      : `failed (${result.signal === undefined ? `exit code ${result.exitCode}` : `signal ${result.signal}`})`;
  return `The repository's tests (\`${command}\`) ${outcome}. Their output:\n${text}`;
}

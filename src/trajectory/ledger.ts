import type { ToolState } from "../tools/tool.ts";
import type { Position } from "./journal.ts";
import type {
  Created,
  Ended,
  Execution,
  GradeIntent,
  GradeOutcome,
  Line,
  StepIntent,
  SubmissionTaken,
  TurnIntent,
  Written,
} from "./lines.ts";

/** What became of one call id: still open, or answered at a place in the journal. */
export interface Entry {
  readonly digest: string;
  readonly intent: StepIntent | TurnIntent | GradeIntent | Execution | Written;
  readonly answer?: Position;
}

/** What a journal adds up to. The same fold makes it of an old file and keeps it up to date while lines are written. */
export interface Ledger {
  readonly created: Created;
  readonly entries: Map<string, Entry>;
  readonly submissions: Map<string, SubmissionTaken>;
  lastStep: number;
  turns: number;
  /** Calls of a harness that may have changed the sandbox. */
  harnessCalls: number;
  toolState: ToolState;
  /** The policy destroyed its sandbox. */
  broken: boolean;
  finalIntent?: GradeIntent;
  final?: GradeOutcome;
  ended?: Ended;
  lastAt: number;
}

export function openLedger(created: Created): Ledger {
  return {
    created,
    entries: new Map(),
    submissions: new Map(),
    lastStep: 0,
    turns: 0,
    harnessCalls: 0,
    toolState: {},
    broken: false,
    lastAt: created.at,
  };
}

/** Adds a line. Idempotent for intents: an intent whose key is there already changes nothing. */
export function post(ledger: Ledger, line: Line, position: Position): void {
  ledger.lastAt = line.at;
  switch (line.type) {
    case "created":
      break;
    case "step":
      ledger.lastStep = line.step;
      ledger.entries.set(line.key, { digest: line.digest, intent: line });
      break;
    case "turn":
      ledger.turns = line.turn;
      ledger.entries.set(line.key, { digest: line.digest, intent: line });
      break;
    case "grading":
      ledger.entries.set(line.key, { digest: "", intent: line });
      if (line.final) ledger.finalIntent = line;
      break;
    case "submission":
      ledger.submissions.set(line.gradeId, line);
      break;
    case "result":
      if (line.state) ledger.toolState = line.state;
      if (line.broken) ledger.broken = true;
      answer(ledger, line.key, position);
      break;
    case "exec":
    case "write":
      ledger.harnessCalls += 1;
      ledger.entries.set(line.key, { digest: line.digest, intent: line });
      break;
    case "exec_result":
      if (line.broken) ledger.broken = true;
      answer(ledger, line.key, position);
      break;
    case "turn_result":
    case "write_result":
      answer(ledger, line.key, position);
      break;
    case "grade":
      if (line.final) ledger.final = line;
      ledger.submissions.delete(line.gradeId);
      answer(ledger, line.key, position);
      break;
    case "ended":
      ledger.ended = line;
      break;
  }
}

/** Intents without an answer, oldest first. */
export function openIntents(ledger: Ledger): Entry[] {
  return [...ledger.entries.values()].filter((entry) => entry.answer === undefined);
}

/** What was asked is in the journal and not needed any more: hundreds of trajectories are kept in memory. */
function answer(ledger: Ledger, key: string, position: Position): void {
  const entry = ledger.entries.get(key);
  if (entry) ledger.entries.set(key, { digest: entry.digest, intent: slim(entry.intent), answer: position });
}

function slim(intent: Entry["intent"]): Entry["intent"] {
  if (intent.type === "step") return { ...intent, argumentsJson: "" };
  if (intent.type === "exec") return { ...intent, argv: [], envNames: [] };
  return intent.type === "turn" ? { ...intent, calls: [] } : intent;
}

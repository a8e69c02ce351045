import type { Behaviour } from "../../support/subject.ts";
import { commands } from "./commands.ts";
import { ends } from "./ends.ts";
import { files } from "./files.ts";
import { standingStill } from "./freezing.ts";
import { isolation } from "./isolation.ts";
import { layers } from "./layers.ts";
import { limits } from "./limits.ts";
import { lives } from "./lives.ts";
import { output } from "./output.ts";
import { restarts } from "./restarts.ts";
import { views } from "./views.ts";
import { warmth } from "./warmth.ts";

/** Every promise of the contract, by topic, in the order in which they are tried: what may end a sandbox comes late. */
export const BEHAVIOURS = {
  "a command": commands,
  output,
  "an end": ends,
  "a file": files,
  "a life": lives,
  "standing still": standingStill,
  "a view": views,
  "a layer": layers,
  limits,
  isolation,
  "a restart": restarts,
  "being warm": warmth,
} as const satisfies Readonly<Record<string, readonly Behaviour[]>>;

export type Topic = keyof typeof BEHAVIOURS;

export const TOPICS = Object.keys(BEHAVIOURS) as readonly Topic[]; // an object of our own: no other keys

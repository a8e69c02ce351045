import { afterAll, beforeAll, describe, test } from "vitest";
import { leaveOut } from "../support/required.ts";
import { type Behaviour, Subject } from "../support/subject.ts";
import { VARIANTS, type Variant } from "../support/variants.ts";
import { refuses } from "./behaviours/refusals.ts";
import { BEHAVIOURS, TOPICS } from "./behaviours/table.ts";

const ROOTLESS = process.getuid?.() !== 0;

for (const variant of VARIANTS) {
  describe(variant.name, () => {
    let opened: Subject | string = "it was not opened";

    beforeAll(async () => {
      opened = await Subject.open(variant).catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error);
        leaveOut(variant.name, variant.backend, reason);
        return reason;
      });
    });

    afterAll(async () => {
      if (typeof opened !== "string") await opened[Symbol.asyncDispose]();
    });

    for (const topic of topicsOf(variant)) {
      describe(topic, () => {
        for (const behaviour of BEHAVIOURS[topic]) {
          test(behaviour.name, async ({ skip, task }) => {
            Object.assign(task.meta, { backend: ROOTLESS ? `${variant.backend}-rootless` : variant.backend });
            if (typeof opened !== "string") return await tryOn(behaviour, opened);
            Object.assign(task.meta, { skipped: `${variant.name}: ${opened}` });
            skip(opened);
          });
        }
      });
    }
  });
}

function topicsOf({ name, only }: Variant): typeof TOPICS {
  if (only === undefined) return TOPICS;
  process.stderr.write(`${name} plays ${only.topics.join(", ")}: ${only.because}\n`);
  return TOPICS.filter((topic) => only.topics.includes(topic));
}

/** What the backend says that it lacks for it, it must refuse. */
async function tryOn({ needs = [], check }: Behaviour, subject: Subject): Promise<void> {
  const lacking = needs.filter((ability) => subject.backend.lacks[ability] !== undefined);
  if (lacking.length === 0) await check(subject);
  for (const ability of lacking) await refuses(subject, ability);
}

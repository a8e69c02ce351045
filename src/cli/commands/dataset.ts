import { lockedNow } from "../../tasks/sources/hub/dataset.ts";
import { type LockedDataset, writeLock } from "../../tasks/sources/hub/dataset-lock.ts";
import { parseReference } from "../../tasks/sources/hub/reference.ts";
import { type Command, parse, required, UsageError } from "../arguments.ts";
import { openHub } from "../catalog.ts";
import { clearProgress, printJson, table } from "../print.ts";
import { readSettings } from "../settings.ts";
import { datasetBuild } from "./dataset-build.ts";

export const dataset: Command = {
  help: `Usage: sandlot dataset lock --dataset OWNER/NAME [OPTIONS]
       sandlot dataset list [OPTIONS]
       sandlot dataset build [OPTIONS]

lock fetches a data set from the hub (HF_ENDPOINT, HF_TOKEN) and writes its commit, the day and the sha256 of each file into the
lock file, which nothing else changes. list shows what is locked.

  --dataset ID       the data set
  --split SPLIT      only these files: [CONFIG/]SPLIT, or files as in python/*.jsonl; may be repeated
  --revision NAME    a branch, a tag or a commit id (else main)
  --lock FILE        the lock file (else the configuration's, or config/dataset.lock)
  --json             one JSON document
  --config FILE      settings (else SANDLOT_CONFIG; see config/sandlot.yaml)
  --state DIR        state folder, which holds the files (else SANDLOT_STATE, the configuration, or $XDG_STATE_HOME/sandlot)

${datasetBuild.help}`,
  async run([action = "", ...args]) {
    if (action === "build") return datasetBuild.run(args);
    const flags = parse(args, {
      config: { type: "string" },
      state: { type: "string" },
      dataset: { type: "string" },
      split: { type: "string", multiple: true, default: [] },
      revision: { type: "string", default: "main" },
      lock: { type: "string" },
      json: { type: "boolean", default: false },
    });
    const settings = readSettings(flags);
    const { cache, lock } = await openHub(settings);
    if (action === "list") return show(lock.datasets, flags.json);
    if (action !== "lock") throw new UsageError(`expected lock, list or build, got ${JSON.stringify(action)}`);
    const id = required(flags.dataset, "--dataset OWNER/NAME");
    const references = flags.split.map((split) => referenceTo(`hf:${id}:${split}`));
    const { id: checked } = referenceTo(`hf:${id}`);
    const wanted = { branch: flags.revision, references };
    const entry = await lockedNow(checked, wanted, { cache, lock }).finally(clearProgress);
    await writeLock({ ...lock, datasets: new Map([...lock.datasets, [id, entry]]) });
    if (!flags.json)
      process.stdout.write(`${lock.file}: ${id} was at ${lock.datasets.get(id)?.revision ?? "nothing"}\n`);
    return show(new Map([[id, entry]]), flags.json);
  },
};

function referenceTo(text: string) {
  const reference = parseReference(text);
  if (reference?.revision === "") return reference;
  throw new UsageError(`--dataset: expected owner/name, got ${JSON.stringify(text.slice("hf:".length))}`);
}

function show(datasets: ReadonlyMap<string, LockedDataset>, json: boolean): number {
  const rows = [...datasets].flatMap(([dataset, { revision, retrieved, files }]) =>
    Object.entries(files).map(([file, sha256]) => ({ dataset, revision, retrieved, file, sha256 })),
  );
  if (json) printJson(rows);
  else process.stdout.write(table(rows, ["dataset", "revision", "retrieved", "file", "sha256"]));
  return 0;
}

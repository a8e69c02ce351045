import type { OpenBackendOptions } from "../../src/sandbox/open.ts";
import type { Backend } from "../../src/sandbox/sandbox.ts";
import type { Topic } from "../contract/behaviours/table.ts";
import { e2bVariant } from "./e2b-variant.ts";
import { startDockerd, startPodman } from "./engine.ts";
import { engineVariant } from "./engine-variant.ts";
import { hostVariant } from "./host-variant.ts";

/** One way to run the contract: a backend and what of it was chosen. */
export interface Variant {
  /** The line at the end of a run counts by this. */
  readonly backend: "oci" | "process" | "docker" | "podman" | "e2b";
  /** Begins with the backend's name. */
  readonly name: string;
  /** Absent: every behaviour. Else the topics in which this variant differs from another one that has them all. */
  readonly only?: { readonly topics: readonly Topic[]; readonly because: string };
  /** What stands in for the real thing; absent: it is that. */
  readonly emulated?: string;
  /** Starts what the backend needs beside it, an engine or a service. Rejects with the reason where that cannot be had. */
  ground(): Promise<Ground>;
}

/** What all places of a variant share; ended with its last test. */
export interface Ground extends AsyncDisposable {
  place(): Place;
}

/** A state folder of its own, an instance of its own, and a layer with `/work/file` and `/work/folder/other`: what one server has. */
export interface Place extends AsyncDisposable {
  /** As plain data: also a child process opens the backend with it. */
  readonly options: OpenBackendOptions;
  readonly stateDir: string;
  readonly instance: string;
  readonly layer: string;
  open(): Promise<Backend>;
  /** All that belongs to this instance, wherever it is, a line each. */
  leftovers(): Promise<readonly string[]>;
  /** Ends the sandbox's first process, container or machine, as nobody should. */
  endFromOutside(id: string): Promise<void>;
  /** What stands between the server and its sandboxes, or why there is nothing that could die. */
  readonly daemon: Daemon | { readonly because: string };
}

export interface Daemon {
  /** Ends it at once, in the middle of whatever it does. */
  stop(): Promise<void>;
  /** Resolves when it takes requests again. */
  start(): Promise<void>;
}

const SAME_BUT_DISK = "only its disk is another than that of the first";
const SAME_BUT_RUNTIME = "only its runtime is another than that of the first";

const SAME_BUT_PROTOCOL = "only what is said to its service is other than that of the first";

/** Every backend, at least once with every behaviour. */
export const VARIANTS: readonly Variant[] = [
  hostVariant("oci, crun, watched disk", { type: "oci", runtime: "crun", disk: "watched" }),
  hostVariant(
    "oci, crun, loop disk",
    { type: "oci", runtime: "crun", disk: "loop" },
    { topics: ["a life", "limits", "a view", "a layer", "a restart", "being warm"], because: SAME_BUT_DISK },
  ),
  hostVariant(
    "oci, runc, watched disk",
    { type: "oci", runtime: "runc", disk: "watched" },
    { topics: ["a life", "limits", "isolation", "standing still", "a view", "a restart"], because: SAME_BUT_RUNTIME },
  ),
  hostVariant("process", { type: "process" }),
  engineVariant("docker", { backend: "docker", start: () => startDockerd({ liveRestore: true }) }),
  engineVariant("docker, which ends containers when it starts", {
    backend: "docker",
    start: () => startDockerd({ liveRestore: false }),
    only: { topics: ["a life"], because: "only the end of its engine is another than that of the first" },
  }),
  engineVariant("podman", { backend: "podman", start: () => startPodman() }),
  e2bVariant("e2b, test server"),
  e2bVariant("e2b, another service", {
    manner: "sparse",
    only: { topics: ["a life", "a layer", "a restart"], because: SAME_BUT_PROTOCOL },
  }),
];

import type { Bind, Rootfs, SandboxSpec } from "../sandbox/sandbox.ts";

/** Where commands of an environment run: what each of its sandboxes has in common. */
export function sandboxOf({
  backend,
  rootfs,
  layers,
  binds,
  workdir,
  env,
  user,
}: Environment): Pick<SandboxSpec, "backend" | "rootfs" | "layers" | "binds" | "workdir" | "env" | "user"> {
  const plain = { rootfs, layers, binds, workdir, env };
  return { ...plain, ...(backend !== undefined && { backend }), ...(user !== undefined && { user }) };
}

/** A prepared, sealed, read-only file tree that any number of sandboxes share. Plain data, stored as `environment.json`. */
export interface Environment {
  /** Content key: hex sha256 over all that decides the content. */
  readonly key: string;
  /** The name of the backend that it was made on, and that its sandboxes are of; absent: the default one. */
  readonly backend?: string;
  readonly rootfs: Rootfs;
  /** Host folders, lowest first. */
  readonly layers: readonly string[];
  readonly binds: readonly Bind[];
  /** The repository's folder inside. */
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  /** Whom commands run as, as an image spells it; absent: root. */
  readonly user?: string;
  readonly baseCommit: string;
  /** The commit on top of the base commit that the agent starts from (equal to it when set-up changed no tracked file). */
  readonly seal: string;
  readonly preparedMs: number;
}

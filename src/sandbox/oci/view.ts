import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { SandlotError } from "../../errors.ts";
import { lives } from "../identity.ts";
import type { SandboxRecord } from "../record.ts";
import type { Launcher } from "./launcher.ts";
import { type ImageMount, type Mounter, type Overlay, onImages, overlayOptions, rootOverlay } from "./mounts.ts";
import { MAX_VIEWS, type Places, viewDisk, viewRoot } from "./places.ts";

/** The lower layers of another sandbox, and where its own layer is. */
export interface Viewed {
  readonly record: SandboxRecord;
  readonly places: Places;
}

export function overlayOfView(places: Places, at: number, of: Viewed): Overlay {
  const own = of.record.disk === "image" ? viewDisk(places, at) : of.places.own;
  return rootOverlay([...of.record.lower, join(own, "upper")], join(places.own, `view${at}`), viewRoot(places, at));
}

export interface Attaching {
  readonly sandbox: Viewed;
  readonly of: Viewed;
  /** A path inside. */
  readonly target: string;
  readonly launcher: Launcher;
  readonly mounter: Mounter;
}

/**
 * Mounts a view in a sandbox that runs, at a path that it does not have. As when a sandbox is made the mount begins in a throw-away namespace, and then is in the sandbox's alone.
 */
export async function attachView({ sandbox, of, target, launcher, mounter }: Attaching): Promise<void> {
  const { record, places } = sandbox;
  if (record.identity === undefined || !lives(record.identity)) {
    throw new SandlotError("sandbox", "the sandbox to attach a view to has ended");
  }
  const at = Array.from({ length: MAX_VIEWS }, (_, index) => index).find(
    (index) => !existsSync(viewRoot(places, index)),
  );
  if (at === undefined) throw new SandlotError("invalid", `expected at most ${MAX_VIEWS} views`, { field: "views" });
  const overlay = overlayOfView(places, at, of);
  for (const path of [viewRoot(places, at), viewDisk(places, at)]) mkdirSync(path);
  if (record.disk === "folder") for (const path of [overlay.upper, overlay.work]) mkdirSync(path, { recursive: true });
  const images: ImageMount[] = [
    ...(record.disk === "image" ? [{ image: places.image, target: places.disk }] : []),
    ...(of.record.disk === "image" ? [{ image: of.places.image, target: viewDisk(places, at) }] : []),
  ];
  const { pid } = record.identity;
  const options = overlayOptions(overlay, mounter.rootless);
  const attach = [mounter.runnerPath, "attach", String(pid), target, overlay.target, options];
  const { code, stdout } = await launcher.run({ argv: onImages(images, attach), open: [], timeoutMs: ATTACH_MS });
  if (code !== 0)
    throw new SandlotError("sandbox", `a view could not be attached: ${stdout.trim() || `exit code ${code}`}`);
}

const ATTACH_MS = 60_000;

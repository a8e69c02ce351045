import { join } from "node:path";
import { SandlotError } from "../../errors.ts";
import { AS_OWN_ROOT } from "./rootless.ts";

export interface Overlay {
  /** Lowest first. */
  readonly lower: readonly string[];
  readonly upper: string;
  readonly work: string;
  readonly target: string;
}

/** A disk image to mount at `target` first; one that is in use already is mounted a second time from the same device. */
export interface ImageMount {
  readonly image: string;
  readonly target: string;
  readonly template?: string;
}

/**
 * What mounts disk images, if there are any, in a throw-away mount namespace and then becomes `program`. What it prints says what failed.
 */
export function onImages(images: readonly ImageMount[], program: readonly string[]): readonly string[] {
  if (images.length === 0) return program;
  const script = ["exec 2>&1", ...images.map(imageLine), `exec ${program.map(quote).join(" ")}`].join("\n");
  return ["unshare", "-m", "--propagation", "private", "sh", "-c", script];
}

export interface Mounter {
  readonly runnerPath: string;
  /** Whether it is root of a user namespace only. */
  readonly rootless: boolean;
}

/** The runner's program as what mounts overlays, in a mount namespace of its own, and becomes a runtime: a shell, `mount` and `unshare` would cost more than the mounts. */
export function startOn(
  overlays: readonly Overlay[],
  { runnerPath, rootless }: Mounter,
  command: readonly string[],
): readonly string[] {
  const mounts = overlays.flatMap((one) => [one.target, overlayOptions(one, rootless)]);
  return [...(rootless ? AS_OWN_ROOT : []), runnerPath, "start", ...mounts, "--", ...command];
}

export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Neither helpers, nor a table of mounts, nor a second look at the paths: these cost more than the mount. */
const MOUNT = "mount -i -n -c";
const IMAGE_OPTIONS = "noatime,nodev,nosuid,noinit_itable,nobarrier";

function imageLine({ image, target, template }: ImageMount): string {
  // The device is released by the kernel with its last mount. Its inode tables are zero already (a sparse file), and nothing in it has to outlive a power cut.
  const mount = `${MOUNT} -t ext4 -o loop,${IMAGE_OPTIONS} ${quote(image)} ${quote(target)} || exit 1`;
  if (template !== undefined) return `cp --sparse=auto ${quote(template)} ${quote(image)} || exit 1\n${mount}`;
  const again = `${MOUNT} -t ext4 -o ${IMAGE_OPTIONS} "$device" ${quote(target)} || exit 1`;
  return `device=$(losetup -n -O NAME -j ${quote(image)} | head -n 1)\nif [ -n "$device" ]; then ${again}; else ${mount}; fi`;
}

/**
 * volatile: nothing here outlives a power cut, and without it the end of a sandbox would wait for the disk. redirect_dir: folders of lower layers can be renamed,
 * as on any file system (the attribute that it needs cannot be written from inside).
 */
const OVERLAY_OPTIONS = "volatile,redirect_dir=on,metacopy=off,index=off";
/** In a user namespace attributes can be kept only where every user may write them, and then no folder of a lower layer is redirected: it cannot be renamed, only copied. */
const ROOTLESS_OPTIONS = "volatile,userxattr,metacopy=off,index=off";

/** As mount(2) takes them. */
export function overlayOptions({ lower, upper, work }: Overlay, rootless: boolean): string {
  const layers = lower.toReversed();
  for (const path of [...layers, upper, work]) {
    if (/[,:\\\n]/.test(path)) {
      throw new SandlotError(
        "invalid",
        `a layer's path must not hold a comma, colon, backslash or newline, got ${JSON.stringify(path)}`,
      );
    }
  }
  const kind = rootless ? ROOTLESS_OPTIONS : OVERLAY_OPTIONS;
  const options = `lowerdir=${layers.join(":")},upperdir=${upper},workdir=${work},${kind}`;
  if (options.length > MAX_OPTIONS) {
    throw new SandlotError(
      "invalid",
      `the paths of ${lower.length} layers are too long for one mount: ${options.length} of at most ${MAX_OPTIONS} bytes`,
    );
  }
  return options;
}

/** One page, less what mount adds. */
const MAX_OPTIONS = 4000;

/** The overlay of a sandbox's own root. */
export function rootOverlay(lower: readonly string[], own: string, target: string): Overlay {
  return { lower, upper: join(own, "upper"), work: join(own, "work"), target };
}

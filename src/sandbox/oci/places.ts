import { join } from "node:path";

/** Where everything of one sandbox lies on the host; all of it goes with the folder. */
export interface Places {
  readonly folder: string;
  readonly record: string;
  readonly config: string;
  readonly pid: string;
  readonly log: string;
  /** The runner's socket is in here; never visible inside. */
  readonly control: string;
  readonly socket: string;
  /** Mount points, used in the throw-away mount namespace only. */
  readonly root: string;
  readonly disk: string;
  readonly image: string;
  /** Empty files and folders on which binds and views are mounted: the lowest layer, so that nothing of them shows in the own layer. */
  readonly mountPoints: string;
  /** Holds `upper` and `work` (and a folder for each view); in the image when there is one. */
  readonly own: string;
  /** The runtime's own state. */
  readonly runtime: string;
}

export function placesOf(stateDir: string, id: string, disk: "folder" | "image"): Places {
  const folder = join(stateDir, "sandboxes", id);
  const at = (name: string): string => join(folder, name);
  return {
    folder,
    record: at("sandbox.json"),
    config: at("config.json"),
    pid: at("pid"),
    log: at("runtime.log"),
    control: at("control"),
    socket: at("control/sock"),
    root: at("root"),
    disk: at("disk"),
    image: at("disk.ext4"),
    mountPoints: at("points"),
    own: disk === "image" ? at("disk") : at("own"),
    runtime: join(stateDir, "runtime", id),
  };
}

/** Where the view of another sandbox is mounted, in the throw-away mount namespace only. */
export const viewRoot = (places: Places, at: number): string => join(places.folder, `view${at}`);

/** Where the image of that sandbox's disk is mounted there. */
export const viewDisk = (places: Places, at: number): string => join(places.folder, `view${at}-disk`);

/** Folders in `Places.own`, for the sandbox itself and for each of its views. */
export const MAX_VIEWS = 4;

export function ownFolders(views: number): readonly string[] {
  const numbered = Array.from({ length: views }, (_, at) => [`view${at}/upper`, `view${at}/work`]);
  return ["upper", "work", ...numbered.flat()];
}

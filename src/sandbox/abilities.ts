/** What the contract of a sandbox lets a backend be without; all else every backend does. */
export const ABILITIES = [
  /** Commands have files, processes and privileges of their own, and cannot harm what is outside. */
  "isolation",
  /** Commands cannot begin user namespaces, in which they would have all privileges over what they make. */
  "noUserNamespaces",
  /** With `network: none` nothing but the sandbox itself can be reached. */
  "noNetwork",
  /** With `network: host` it has the interfaces and name servers of this host. */
  "hostNetwork",
  /** The root file system can be a folder of this host. */
  "directories",
  /** The root file system can be a container image. */
  "images",
  /** Another frozen sandbox can be shown in one from its beginning on. */
  "views",
  /** It can be shown in one that runs. */
  "attach",
  "readOnlyBinds",
  /** Files can be given to other users than root. */
  "owners",
  /** Folders that lie in a layer can be renamed as on any file system. */
  "folderRenames",
  /** A layer that is built can have a folder where a lower one has a file, and the other way round. */
  "typeChanges",
  "memoryLimit",
  "cpuLimit",
  "pidsLimit",
  "diskLimit",
  /** What would go beyond the limit on disk is refused as it is written, instead of found and ended a moment later. */
  "hardDiskLimit",
  /** Out-of-memory kills are counted, and those of the sandbox's own limit told from the host's. */
  "oomCount",
  /** That the sandbox's own lack of memory ended all of it is told from an end that came from outside. */
  "ownEnd",
  /** Bytes on disk and in memory are known. */
  "usage",
  /** Sandboxes live on when the server ends, and the next one opens them. */
  "survivesServer",
  /** Sandboxes live on when the service between the server and them dies and comes back. */
  "survivesDaemon",
] as const;

export type Ability = (typeof ABILITIES)[number];

/** What is lacking, and why, in words for whoever chose the backend. */
export type Lacks = Readonly<Partial<Record<Ability, string>>>;

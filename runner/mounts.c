/* Not of the runner: run by the host, it mounts overlays, for a runtime that it then becomes or in the mount namespace of a sandbox that runs. */
#include "runner.h"
#include <sched.h>
#include <sys/mount.h>

/* Older headers lack them; every kernel whose overlays have the options that are used here has the calls. */
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 4
#endif

static int failed(const char *what)
{
  printf("%s: %s\n", what, strerror(errno));
  return 1;
}

static bool own_namespace(void) { return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0; }

/* start (TARGET OPTIONS)... -- COMMAND...: in a mount namespace of its own, the overlays; then the command in its place, which is silent: what it starts holds none of our descriptors. */
int start_on_mounts(char **argv)
{
  dup2(1, 2);
  if (!own_namespace()) return failed("a mount namespace");
  for (; argv[0] && argv[1] && strcmp(argv[0], "--"); argv += 2)
    if (mount("overlay", argv[0], "overlay", 0, argv[1]) < 0) return failed(argv[0]);
  if (!argv[0] || !argv[1]) return errno = EINVAL, failed("start");
  int said = fcntl(1, F_DUPFD_CLOEXEC, 64), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (said < 0 || null < 0) return failed("/dev/null");
  dup2(null, 1), dup2(null, 2);
  execvp(argv[1], argv + 1);
  return dup2(said, 1), failed(argv[1]);
}

/* attach PID TARGET MOUNTPOINT OPTIONS: the overlay of OPTIONS shows at TARGET, which is made, where PID looks; MOUNTPOINT is a folder of this side. */
int attach_view(char **argv)
{
  const char *pid = argv[0], *target = argv[1], *point = argv[2], *options = argv[3];
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/ns/mnt", pid);
  int there = open(path, O_RDONLY | O_CLOEXEC);
  if (there < 0) return failed(path);
  if (!own_namespace()) return failed("a mount namespace");
  if (mount("overlay", point, "overlay", MS_NOSUID | MS_NODEV, options) < 0) return failed("mount");
  int tree = syscall(SYS_open_tree, AT_FDCWD, point, OPEN_TREE_CLONE | O_CLOEXEC);
  if (tree < 0) return failed("open_tree");
  if (setns(there, CLONE_NEWNS) < 0) return failed("setns");
  if (mkdir(target, 0755) < 0) return failed(target);
  if (syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0) return failed("move_mount");
  return 0;
}

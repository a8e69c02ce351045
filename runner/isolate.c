/*
 * For a place where no runtime made a container (a virtual machine with processes of its own): the runner makes the namespaces in which it is PID 1, with devices, /proc and
 * capabilities as the oci backend gives them. Commands then see nothing of what runs beside it.
 */
#include "runner.h"
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

/* Whoever waits for the secret finds these words in its place. */
static void must(bool done, const char *what)
{
  if (done) return;
  dprintf(STREAM_OUT, "sandlot-runner: %s: %s\n", what, strerror(errno));
  _exit(1);
}

static void make_dev(void)
{
  static const struct { const char *path; int major, minor; } nodes[] = {
    { "/dev/null", 1, 3 }, { "/dev/zero", 1, 5 }, { "/dev/full", 1, 7 }, { "/dev/random", 1, 8 }, { "/dev/urandom", 1, 9 }, { "/dev/tty", 5, 0 } };
  static const char *links[][2] = { { "/proc/self/fd", "/dev/fd" }, { "fd/0", "/dev/stdin" }, { "fd/1", "/dev/stdout" },
                                    { "fd/2", "/dev/stderr" }, { "pts/ptmx", "/dev/ptmx" } };
  must(mount("tmpfs", "/dev", "tmpfs", MS_NOSUID, "mode=755,size=64k") == 0, "/dev");
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
    must(mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)) == 0, nodes[i].path);
  for (size_t i = 0; i < sizeof links / sizeof *links; i++) must(symlink(links[i][0], links[i][1]) == 0, links[i][1]);
  mkdir("/dev/pts", 0755), mkdir("/dev/shm", 01777);
  must(mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620") == 0, "/dev/pts");
  must(mount("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=1777,size=64m") == 0, "/dev/shm");
}

/* A fresh /proc of which only processes can be changed; no /sys, nothing of what others keep in /run. */
static void make_proc(void)
{
  static const char *read_only[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" };
  static const char *masked[] = { "/proc/kcore", "/proc/keys", "/proc/kallsyms", "/proc/timer_list", "/proc/sched_debug" };
  must(mount("proc", "/proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL) == 0, "/proc");
  for (size_t i = 0; i < sizeof read_only / sizeof *read_only; i++) {
    const char *p = read_only[i];
    if (mount(p, p, NULL, MS_BIND | MS_REC, NULL) < 0 && errno == ENOENT) continue;
    must(mount(NULL, p, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL) == 0, p);
  }
  for (size_t i = 0; i < sizeof masked / sizeof *masked; i++)
    must(mount("/dev/null", masked[i], NULL, MS_BIND, NULL) == 0 || errno == ENOENT, masked[i]);
  must(mount("none", "/sys", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, "size=4k") == 0 || errno == ENOENT, "/sys");
  must(mount("run", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=16m") == 0 || errno == ENOENT, "/run");
}

static void raise_loopback(void)
{
  struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  must(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0, "lo");
  close(fd);
}

static void drop_capabilities(void)
{
  static const int kept[] = { CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_NET_BIND_SERVICE };
  struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
  uint64_t all = 0;
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) all |= 1ull << kept[i];
  for (int cap = 0; cap < 64; cap++)
    if (!(all >> cap & 1)) must(prctl(PR_CAPBSET_DROP, cap) == 0 || errno == EINVAL, "capabilities");
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  struct __user_cap_data_struct data[2] = { { all, all, 0 }, { all >> 32, all >> 32, 0 } };
  must(syscall(SYS_capset, &head, data) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "capabilities");
}

/* Returns in a child that is PID 1 of them; the process that was called waits for it, and takes it along when it is killed. */
void isolate(bool with_network)
{
  int status;
  must(unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | (with_network ? 0 : CLONE_NEWNET)) == 0, "namespaces");
  pid_t child = fork();
  must(child >= 0, "fork");
  if (child > 0) {
    close(STREAM_IN), close(STREAM_OUT);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "a mount namespace");
  must(sethostname("sandbox", 7) == 0, "host name");
  make_dev(), make_proc();
  if (!with_network) raise_loopback();
  drop_capabilities();
  filter_calls();
}

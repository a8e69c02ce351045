/* Ends whole process trees. */
#include "runner.h"
#include <dirent.h>

pid_t shell;
int shell_status;
static uint8_t member[1 << 22]; /* by process id: is it in the tree */

void reap(void)
{
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid == shell) shell_status = status;
    for (struct call *c = calls; c; c = c->next)
      if (c->child == pid) c->child = 0;
  }
}

/* Signals every living descendant of `root`; one that is stopped already needs no SIGSTOP. Returns how many were signalled. */
static int signal_descendants(pid_t root, int sig)
{
  static struct { pid_t pid, parent; char state; } seen[1 << 16];
  int count = 0, signalled = 0;
  DIR *proc = opendir("/proc");
  for (struct dirent *e; proc && count < 1 << 16 && (e = readdir(proc));) {
    char path[32], stat[512];
    int pid = atoi(e->d_name), fd = -1;
    if (pid <= 0 || pid >= 1 << 22) continue;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    ssize_t n = (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0 ? -1 : read(fd, stat, sizeof stat - 1);
    drop(&fd);
    if (n <= 0) continue;
    stat[n] = 0;
    char *close_bracket = strrchr(stat, ')'); /* the last one: a process may call itself anything */
    if (!close_bracket || sscanf(close_bracket, ") %c %d", &seen[count].state, &seen[count].parent) != 2) continue;
    seen[count++].pid = pid;
    member[pid] = pid == root;
  }
  if (proc) closedir(proc);
  for (bool grew = true; grew;) {
    grew = false;
    for (int i = 0; i < count; i++)
      if (!member[seen[i].pid] && member[seen[i].parent]) member[seen[i].pid] = grew = true;
  }
  for (int i = 0; i < count; i++) {
    bool skip = strchr(sig == SIGSTOP ? "ZXTt" : "ZX", seen[i].state) || !member[seen[i].pid] || seen[i].pid == root;
    if (!skip && kill(seen[i].pid, sig) == 0) signalled++;
    member[seen[i].pid] = 0;
  }
  return signalled;
}

/* Stopped first, so that nothing forks while the rest is being killed. */
void kill_descendants(pid_t root)
{
  for (int round = 0; round < 2000; round++) {
    for (int i = 0; i < 20 && signal_descendants(root, SIGSTOP) > 0;) i++;
    int left = signal_descendants(root, SIGKILL);
    reap();
    if (left == 0) return;
    usleep(200);
  }
}

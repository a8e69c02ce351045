/* What runs between fork and exec, and instead of exec: supervisors, readers and writers of files. */
#include "runner.h"
#include <dirent.h>

static _Noreturn void report(int kind, int status, uint64_t value)
{
  struct ending e = { kind, status, value };
  write_all(STATUS, &e, sizeof e);
  _exit(0);
}

static void set_oom_score(const char *score)
{
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd >= 0) write_all(fd, score, strlen(score)), close(fd);
}

/* After vfork: touches nothing that its parent would miss. */
static _Noreturn void run_command(const char *cwd, char **argv, bool capture)
{
  sigset_t none;
  set_oom_score("500");
  setsid();
  for (int sig = 1; sig < 32; sig++) signal(sig, SIG_DFL);
  sigprocmask(SIG_SETMASK, (sigemptyset(&none), &none), NULL);
  if (capture) dup2(STATE, STATE_IN_COMMAND);
  if (chdir(cwd) < 0) {
    dprintf(2, "sandlot: %s: %s; starting in /\n", cwd, strerror(errno));
    if (is_init && chdir("/") < 0) _exit(126); /* else / is the host's: the runner's own folder stands for it */
  }
  execvp(argv[0], argv);
  dprintf(2, "sandlot: %s: %s\n", argv[0], strerror(errno));
  _exit(errno == ENOENT ? 127 : 126);
}

/* The parent of one command: every process of it stays its descendant until the command has ended. */
_Noreturn void supervise(const char *cwd, char **argv, char **env, bool capture)
{
  sigset_t set;
  sigemptyset(&set), sigaddset(&set, SIGCHLD), sigaddset(&set, SIGTERM);
  prctl(PR_SET_CHILD_SUBREAPER, 1), prctl(PR_SET_PDEATHSIG, SIGTERM);
  environ = env, shell_status = -1;
  if ((shell = vfork()) == 0) run_command(cwd, argv, capture);
  if (shell < 0) report(NOT_STARTED, errno, 0);
  for (int sig; shell_status == -1;) {
    sigwait(&set, &sig);
    reap();
    if (sig != SIGTERM || shell_status != -1) continue;
    kill_descendants(getpid());
    report(KILLED, shell_status == -1 ? SIGKILL : shell_status, 0);
  }
  report(ENDED, shell_status, 0);
}

enum { IS_FILE, IS_DIRECTORY, IS_OTHER, IS_MISSING, IS_DENIED };

_Noreturn void read_file(const char *path, uint64_t offset, uint64_t max)
{
  struct stat s;
  char again[32];
  int fd = open(path, O_PATH | O_CLOEXEC); /* opens without touching: no FIFO waits, no device wakes */
  if (fd < 0 || fstat(fd, &s) < 0) report(ENDED, (errno == ENOENT || errno == ENOTDIR ? IS_MISSING : IS_DENIED) << 8, 0);
  if (!S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode)) report(ENDED, IS_OTHER << 8, 0);
  snprintf(again, sizeof again, "/proc/self/fd/%d", fd);
  if ((fd = open(again, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) < 0) report(ENDED, IS_DENIED << 8, 0);
  if (S_ISDIR(s.st_mode)) {
    DIR *d = fdopendir(fd);
    uint64_t size = 0;
    for (struct dirent *e; d && size < max && (e = readdir(d));)
      if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) size += printf("%s%s\n", e->d_name, e->d_type == DT_DIR ? "/" : "");
    fflush(stdout);
    report(ENDED, IS_DIRECTORY << 8, size);
  }
  for (ssize_t n; max > 0; max -= n, offset += n) {
    n = pread(fd, scratch, max < sizeof scratch ? max : sizeof scratch, offset);
    if (n <= 0 || !write_all(1, scratch, n)) break;
  }
  report(ENDED, IS_FILE << 8, s.st_size);
}

static _Noreturn void refuse_write(const char *why)
{
  dprintf(1, "%s", why);
  report(ENDED, 1 << 8, 0);
}

/* Links are followed as by any program of the sandbox; only what the link leads to counts. */
_Noreturn void write_file(char *path, uint32_t mode)
{
  struct stat s;
  char again[32];
  for (char *p = path; (p = strchr(p + 1, '/'));) *p = 0, mkdir(path, 0777), *p = '/';
  int fd = open(path, O_PATH | O_CLOEXEC);
  if (fd >= 0 && (fstat(fd, &s) < 0 || !S_ISREG(s.st_mode))) refuse_write("it is not a regular file");
  snprintf(again, sizeof again, "/proc/self/fd/%d", fd);
  fd = fd < 0 ? open(path, O_WRONLY | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644)
              : open(again, O_WRONLY | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) refuse_write(strerror(errno));
  if (fstat(fd, &s) < 0 || !S_ISREG(s.st_mode)) refuse_write("it is not a regular file");
  for (ssize_t n; (n = read(0, scratch, sizeof scratch)) > 0;)
    if (!write_all(fd, scratch, n)) refuse_write(strerror(errno));
  if (mode != UINT32_MAX && fchmod(fd, mode & 07777) < 0) refuse_write(strerror(errno));
  report(ENDED, 0, 0);
}

/* Leaves a child of the runner with 0, 1, 2, STATUS and STATE, and nothing else: no control directory, no socket. */
void take_descriptors(int in, int out, int err, int status, int state)
{
  dup2(in, 0), dup2(out, 1), dup2(err, 2);
  dup3(status, STATUS, O_CLOEXEC);
  if (state >= 0) dup3(state, STATE, O_CLOEXEC);
  close_from(state >= 0 ? STATE + 1 : STATE);
}

/*
 * The runner: PID 1 of a sandbox (or an ordinary process, for the backend without isolation). It starts commands, drains their output for ever, ends their whole
 * process tree in time and keeps results until the host acknowledges them. README.md says how it is spoken to and what it promises.
 *
 * All that runs below it is hostile. It shares nothing with it but pipes: descriptor 3, the host's control directory, exists in this process alone, which can be
 * neither traced nor opened (not dumpable), and a result is what the supervisor of a command, as closed as this process, writes into a pipe of its own.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { HELLO = 1, START, READ, WRITE, ATTACH, DETACH, INTERRUPT, ACKNOWLEDGE, SHUTDOWN, DATA };
enum { HELLO_REPLY = 0x81, OUTPUT, DONE, UNKNOWN };
enum { LIVE = 1, CAPTURE = 2 };                            /* flags of a request */
enum { TIMED_OUT = 1, NO_OUTPUT, INTERRUPTED };            /* why the runner ended a command */
enum { ENDED, KILLED, NOT_STARTED };                       /* what a supervisor reports */
enum { CONTROL = 3, STATUS = 3, STATE = 4, STATE_IN_COMMAND = 9 }; /* descriptors: of the runner; of its children; of a command */
#define VERSION 1u
#define MAX_FRAME (4u << 20)
#define MAX_STAGED (65u << 20)
#define MAX_KEEP (128u << 20)
#define MAX_KEPT_IN_ALL (64u << 20)
#define MAX_STATE (256u << 10)
#define OUT_HIGH (256u << 10)

struct ending { int32_t kind, status; uint64_t value; };
struct request { uint32_t flags, timeout_ms, no_output_ms, keep, spill, reserved; uint64_t from, a, b; };
struct call {
  struct call *next;
  char id[65], *note, *spill_path;
  bool file, done, forgotten, forced, spilled;
  pid_t child;                              /* the supervisor, or the reader or writer of a file; 0 once reaped */
  int out[2], out_slot[2], status, status_slot, state, spill;
  uint32_t keep, spill_max, no_output_ms, state_size, why;
  uint8_t *bytes, *streams, *state_bytes;   /* head and ring of the output, and of which stream each byte is */
  uint64_t total;
  int64_t started_us, deadline, last_output, force_at, drain_at; /* milliseconds, but for the first */
  struct ending end;
  uint64_t duration_us;
};
struct attachment { struct attachment *next; struct call *call; uint64_t cursor; bool live; };
struct buffer { uint8_t *at; size_t start, end, cap; };
struct connection {
  struct connection *next;
  int fd, slot, staged, stage_error;
  bool closing;
  struct buffer in, out;
  struct attachment *attached;
};

static struct call *calls, **calls_end = &calls;
static struct connection *connections;
static struct pollfd *polled;
static int slots, slots_cap, shell_status, is_init;
static pid_t shell; /* in a supervisor */
static uint64_t nonce;
static uint8_t scratch[64 << 10], member[1 << 22];

static int64_t now_us(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000ll + t.tv_nsec / 1000; }
static int64_t now_ms(void) { return now_us() / 1000; }
static void drop(int *fd) { if (*fd >= 0) close(*fd); *fd = -1; }

static bool write_all(int fd, const void *data, size_t n)
{
  for (const uint8_t *p = data; n > 0;) {
    ssize_t done = write(fd, p, n);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    p += done, n -= done;
  }
  return true;
}

/* ---- process trees ---- */

static void reap(void)
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
static void kill_descendants(pid_t root)
{
  for (int round = 0; round < 2000; round++) {
    for (int i = 0; i < 20 && signal_descendants(root, SIGSTOP) > 0;) i++;
    int left = signal_descendants(root, SIGKILL);
    reap();
    if (left == 0) return;
    usleep(200);
  }
}

/* ---- what runs in a child ---- */

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
    if (chdir("/") < 0) _exit(126);
  }
  execvp(argv[0], argv);
  dprintf(2, "sandlot: %s: %s\n", argv[0], strerror(errno));
  _exit(errno == ENOENT ? 127 : 126);
}

/* The parent of one command: every process of it stays its descendant until the command has ended. */
static _Noreturn void supervise(const char *cwd, char **argv, char **env, bool capture)
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

static _Noreturn void read_file(const char *path, uint64_t offset, uint64_t max)
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
static _Noreturn void write_file(char *path, uint32_t mode)
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
static void take_descriptors(int in, int out, int err, int status, int state)
{
  dup2(in, 0), dup2(out, 1), dup2(err, 2);
  dup3(status, STATUS, O_CLOEXEC);
  if (state >= 0) dup3(state, STATE, O_CLOEXEC);
  syscall(SYS_close_range, state >= 0 ? STATE + 1 : STATE, ~0u, 0);
}

/* ---- output ---- */

static size_t place(const struct call *c, uint64_t offset)
{
  uint32_t head = c->keep / 2;
  return offset < head ? offset : head + (offset - head) % (c->keep - head);
}

/* Untouched pages cost nothing; a fork copies none of it and no child can see it. */
static bool make_store(struct call *c)
{
  if (c->bytes) return true;
  void *p = mmap(NULL, 2ull * c->keep, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return false;
  madvise(p, 2ull * c->keep, MADV_DONTFORK);
  c->bytes = p, c->streams = c->bytes + c->keep;
  return true;
}

static void drop_store(struct call *c)
{
  if (c->bytes) munmap(c->bytes, 2ull * c->keep);
  c->bytes = NULL;
}

/* Made when output no longer fits, while all of it is still in the store, in order. No link of /proc is followed: /proc/self is the runner here. */
static void open_spill(struct call *c)
{
  struct open_how how = { .flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, .mode = 0644, .resolve = RESOLVE_NO_MAGICLINKS };
  c->spill = syscall(SYS_openat2, AT_FDCWD, c->spill_path, &how, sizeof how);
  c->spilled = c->spill >= 0;
  if (c->total > 0 && (!c->bytes || !write_all(c->spill, c->bytes, c->total < c->spill_max ? c->total : c->spill_max))) drop(&c->spill);
}

static void spill(struct call *c, const uint8_t *data, size_t n)
{
  if (c->total <= c->keep) open_spill(c);
  uint64_t room = c->total < c->spill_max ? c->spill_max - c->total : 0;
  if (c->spill >= 0 && (room == 0 || !write_all(c->spill, data, n < room ? n : room))) drop(&c->spill);
}

static void keep_output(struct call *c, int stream, const uint8_t *data, size_t n)
{
  c->last_output = now_ms();
  if (c->spill_max > 0 && c->total + n > c->keep) spill(c, data, n);
  bool kept = make_store(c);
  for (size_t part; n > 0; data += part, n -= part, c->total += part) {
    size_t at = place(c, c->total), room = (c->total < c->keep / 2 ? c->keep / 2 : c->keep) - at;
    part = n < room ? n : room;
    if (!kept) continue;
    memcpy(c->bytes + at, data, part);
    if (stream || c->total >= c->keep) memset(c->streams + at, stream, part);
  }
}

/* Takes what lies in a pipe. After the end of the step this is only counted off, and a flood no more than every 10 ms: its writer waits, the sandbox has its CPU. */
static void drain(struct call *c, int stream, size_t max)
{
  ssize_t n = read(c->out[stream], scratch, max < sizeof scratch ? max : sizeof scratch);
  if (n > 0 && c->done) c->drain_at = now_ms() + 10;
  else if (n > 0) keep_output(c, stream, scratch, n);
  else if (n == 0 || (errno != EAGAIN && errno != EINTR)) drop(&c->out[stream]);
}

/* ---- calls ---- */

static struct call *find(const char *id)
{
  struct call *c = calls;
  while (c && (c->forgotten || strcmp(c->id, id))) c = c->next;
  return c;
}

/* Oldest first: of a result nobody fetched in time, the end remains. */
static void bound_kept_output(const struct call *newest)
{
  uint64_t sum = 0;
  for (struct call *c = calls; c; c = c->next) sum += c->done && c->bytes ? (c->total < c->keep ? c->total : c->keep) : 0;
  for (struct call *c = calls; c && sum > MAX_KEPT_IN_ALL; c = c->next) {
    if (!c->done || !c->bytes || c == newest) continue;
    sum -= c->total < c->keep ? c->total : c->keep;
    drop_store(c);
  }
}

static void finish(struct call *c, const struct ending *end)
{
  for (int stream = 0, n; stream < 2; stream++) {
    if (c->out[stream] < 0 || ioctl(c->out[stream], FIONREAD, &n) < 0) continue;
    for (uint64_t goal = c->total + n; c->total < goal && c->out[stream] >= 0;) {
      uint64_t before = c->total;
      drain(c, stream, goal - before);
      if (c->total == before) break;
    }
  }
  c->end = end ? *end : (struct ending){ KILLED, SIGKILL, 0 };
  c->duration_us = now_us() - c->started_us;
  if (c->end.kind == ENDED) c->why = 0;
  else if (c->end.kind == NOT_STARTED && asprintf(&c->note, "cannot start a process: %s", strerror(c->end.status)) < 0) c->note = NULL;
  else if (c->forced) c->note = strdup("the command did not end when told to: every process in the sandbox was killed");
  else if (c->end.kind == KILLED && !c->why) c->note = strdup("the process that watches the command was killed from inside the sandbox");
  if (c->end.kind == NOT_STARTED) c->end.status = 126 << 8;
  if (c->state >= 0 && (c->state_bytes = malloc(MAX_STATE))) {
    ssize_t n = pread(c->state, c->state_bytes, MAX_STATE, 0);
    c->state_size = n > 0 ? n : 0;
    c->state_bytes = realloc(c->state_bytes, c->state_size + 1);
  }
  drop(&c->status), drop(&c->state), drop(&c->spill);
  c->done = true;
  bound_kept_output(c);
}

static void end_call(struct call *c, uint32_t why)
{
  if (c->done || c->why) return;
  c->why = why, c->force_at = now_ms() + 1000;
  if (c->child > 0) kill(c->child, c->file ? SIGKILL : SIGTERM), kill(c->child, SIGCONT);
}

static void force_end(struct call *c, int64_t now)
{
  c->forced = true, c->force_at = now + 1000;
  if (is_init) kill(-1, SIGKILL);
  else if (c->child > 0) kill_descendants(c->child), kill(c->child, SIGKILL);
}

/* When, in ms, this call wants to be looked at though nothing happened; INT64_MAX = never. */
static int64_t check_time(struct call *c, int64_t now)
{
  if (c->done) return c->drain_at > now ? c->drain_at : INT64_MAX;
  int64_t silent = c->no_output_ms ? c->last_output + c->no_output_ms : INT64_MAX;
  if (c->why && now >= c->force_at) force_end(c, now);
  if (!c->why && now >= c->deadline) end_call(c, TIMED_OUT);
  if (!c->why && now >= silent) end_call(c, NO_OUTPUT);
  return c->why ? c->force_at : c->deadline < silent ? c->deadline : silent;
}

/* words: of START cwd, spill prefix, argv..., NULL, environment..., NULL; of READ and WRITE the path. */
static int launch(struct call *c, int op, const struct request *r, char **words, int in)
{
  int out[2] = { -1, -1 }, err[2] = { -1, -1 }, status[2] = { -1, -1 }, failure = 0;
  if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 || pipe2(status, O_CLOEXEC) < 0) failure = errno;
  else if (r->flags & CAPTURE && (c->state = memfd_create("state", MFD_CLOEXEC)) < 0) failure = errno;
  else if ((c->child = fork()) < 0) failure = errno;
  else if (c->child == 0) {
    take_descriptors(in < 0 ? 0 : in, out[1], err[1], status[1], c->state);
    if (op == READ) read_file(words[0], r->a, r->b);
    if (op == WRITE) write_file(words[0], r->a);
    supervise(words[0], words + 2, words + 3 + r->a, c->state >= 0);
  }
  drop(&out[1]), drop(&err[1]), drop(&status[1]);
  fcntl(out[0], F_SETFL, O_NONBLOCK), fcntl(err[0], F_SETFL, O_NONBLOCK);
  c->out[0] = out[0], c->out[1] = err[0], c->status = status[0];
  return failure;
}

static struct call *make_call(const char *id, int op, const struct request *r, char **words)
{
  struct call *c = calloc(1, sizeof *c);
  uint32_t random = 0;
  strcpy(c->id, id);
  c->file = op != START;
  c->spill = c->state = c->status = c->out[0] = c->out[1] = c->out_slot[0] = c->out_slot[1] = c->status_slot = -1;
  c->keep = r->keep < 1024 ? 1024 : r->keep > MAX_KEEP ? MAX_KEEP : r->keep;
  c->started_us = now_us(), c->last_output = now_ms(), c->no_output_ms = r->no_output_ms;
  c->deadline = r->timeout_ms ? c->last_output + r->timeout_ms : INT64_MAX;
  syscall(SYS_getrandom, &random, sizeof random, 0);
  if (op == START && r->spill && asprintf(&c->spill_path, "%s%08x", words[1], random) > 0) c->spill_max = r->spill;
  *calls_end = c, calls_end = &c->next;
  return c;
}

/* ---- the wire ---- */

static uint8_t *reserve(struct buffer *b, size_t n)
{
  if (b->end + n > b->cap && b->start > 0) memmove(b->at, b->at + b->start, b->end - b->start), b->end -= b->start, b->start = 0;
  if (b->end + n > b->cap) b->at = realloc(b->at, b->cap = 2 * b->end + n);
  if (!b->at) _exit(1);
  return b->at + b->end;
}

/* Large buffers go back when they are empty: an idle runner holds next to nothing. */
static void consume(struct buffer *b, size_t n)
{
  b->start += n;
  if (b->start < b->end) return;
  if (b->cap > 4096) free(b->at), *b = (struct buffer){ 0 };
  b->start = b->end = 0;
}

static void put(struct buffer *b, const void *data, size_t n) { memcpy(reserve(b, n), data, n), b->end += n; }

/* Starts a frame whose body will have `n` bytes. */
static void put_head(struct connection *n, int type, const char *id, size_t body)
{
  uint32_t id_size = strlen(id), size = 2 + id_size + body;
  uint8_t head[6] = { size, size >> 8, size >> 16, size >> 24, type, id_size };
  reserve(&n->out, size + 4);
  put(&n->out, head, 6), put(&n->out, id, id_size);
}

static void put_hello(struct connection *n, const char *token)
{
  uint32_t count = 0, size = 0, version = VERSION;
  for (struct call *c = calls; c; c = c->next) if (!c->forgotten) count++, size += 10 + strlen(c->id);
  put_head(n, HELLO_REPLY, token, 16 + size);
  put(&n->out, &version, 4), put(&n->out, &nonce, 8), put(&n->out, &count, 4);
  for (struct call *c = calls; c; c = c->next) {
    uint8_t length = strlen(c->id), done = c->done;
    if (c->forgotten) continue;
    put(&n->out, &length, 1), put(&n->out, c->id, length), put(&n->out, &done, 1), put(&n->out, &c->total, 8);
  }
}

static void put_done(struct connection *n, const struct call *c)
{
  int status = c->end.status;
  const char *note = c->note ? c->note : "", *path = c->spilled ? c->spill_path : "";
  struct { uint32_t keep, code; uint8_t signalled, why, captured, lost; uint32_t path, note, state; uint64_t total, us, value; } d = {
    .keep = c->keep, .signalled = WIFSIGNALED(status), .code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
    .why = c->why, .captured = c->state_bytes != NULL, .lost = c->total > 0 && !c->bytes, .path = strlen(path), .note = strlen(note),
    .state = c->state_size, .total = c->total, .us = c->duration_us, .value = c->end.value };
  put_head(n, DONE, c->id, sizeof d + d.path + d.note + d.state);
  put(&n->out, &d, sizeof d), put(&n->out, path, d.path), put(&n->out, note, d.note), put(&n->out, c->state_bytes, d.state);
}

/* One frame of what is kept at or after the cursor. A reader that fell behind the ring sees the offset jump. */
static bool put_output(struct connection *n, struct attachment *a)
{
  struct call *c = a->call;
  uint32_t head = c->keep / 2;
  if (!c->bytes) a->cursor = c->total;
  if (a->cursor >= head && c->total > c->keep && a->cursor < c->total - (c->keep - head)) a->cursor = c->total - (c->keep - head);
  if (a->cursor >= c->total) return false;
  size_t at = place(c, a->cursor), room = (a->cursor < head ? head : c->keep) - at, max = 1;
  if (room > c->total - a->cursor) room = c->total - a->cursor;
  if (room > sizeof scratch) room = sizeof scratch;
  while (max < room && c->streams[at + max] == c->streams[at]) max++;
  put_head(n, OUTPUT, c->id, 9 + max);
  put(&n->out, &a->cursor, 8), put(&n->out, c->streams + at, 1), put(&n->out, c->bytes + at, max);
  a->cursor += max;
  return true;
}

static void detach(struct connection *n, const struct call *c)
{
  for (struct attachment **p = &n->attached, *a; (a = *p);) {
    if (!c || a->call == c) *p = a->next, free(a);
    else p = &a->next;
  }
}

static void attach(struct connection *n, struct call *c, const struct request *r)
{
  struct attachment *a = malloc(sizeof *a);
  detach(n, c);
  *a = (struct attachment){ n->attached, c, r->from, r->flags & LIVE };
  n->attached = a;
}

/* Writes what the reader takes now, never more than OUT_HIGH ahead of it. */
static void pump(struct connection *n)
{
  for (ssize_t sent = 1; sent > 0 && !n->closing;) {
    for (struct attachment *a = n->attached, *next; a; a = next) {
      next = a->next;
      while ((a->live || a->call->done) && n->out.end - n->out.start < OUT_HIGH && put_output(n, a)) continue;
      if (!a->call->done || n->out.end - n->out.start >= OUT_HIGH) continue;
      put_done(n, a->call), detach(n, a->call);
    }
    if (n->out.start == n->out.end) return;
    sent = send(n->fd, n->out.at + n->out.start, n->out.end - n->out.start, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) consume(&n->out, sent);
    else if (errno != EAGAIN && errno != EINTR) n->closing = true;
  }
}

static void close_connection(struct connection *n)
{
  detach(n, NULL);
  drop(&n->fd), drop(&n->staged);
  free(n->in.at), free(n->out.at), free(n);
}

/* Splits NUL-terminated strings into pointers; NULL after the command's arguments and at the end. Returns NULL when they are not as many as the request says. */
static char **split(int op, const struct request *r, char *text, size_t size)
{
  size_t count = 0, need = op == START ? r->a + 2 : 1, used = 0;
  for (size_t i = 0; i < size; i++) count += text[i] == 0;
  if (count == 0 || text[size - 1] != 0 || (op == START ? r->a == 0 || r->a > count || count < need : count != 1)) return NULL;
  char **words = malloc((count + 2) * sizeof *words);
  for (size_t i = 0; words && i < count; i++, text += strlen(text) + 1) {
    if (op == START && i == need) words[used++] = NULL;
    words[used++] = text;
  }
  if (op == START && count == need) words[used++] = NULL;
  if (words) words[used] = NULL;
  return words;
}

/* START, READ, WRITE: a call that is known is attached to, never run again. */
static void begin(struct connection *n, int op, const char *id, const uint8_t *body, size_t size)
{
  struct request r;
  char **words = NULL;
  if (size >= sizeof r) memcpy(&r, body, sizeof r), words = split(op, &r, (char *)body + sizeof r, size - sizeof r);
  if (!words) { n->closing = true; return; }
  struct call *c = find(id);
  if (!c) {
    c = make_call(id, op, &r, words);
    if (n->staged >= 0) lseek(n->staged, 0, SEEK_SET);
    int failure = n->stage_error ? n->stage_error : launch(c, op, &r, words, n->staged);
    if (failure) finish(c, &(struct ending){ NOT_STARTED, failure, 0 });
  }
  drop(&n->staged);
  n->stage_error = 0;
  free(words);
  attach(n, c, &r);
}

static void stage(struct connection *n, const uint8_t *data, size_t size)
{
  if (n->staged < 0) n->staged = memfd_create("stdin", MFD_CLOEXEC);
  off_t at = n->staged < 0 ? 0 : lseek(n->staged, 0, SEEK_END);
  if (at + size > MAX_STAGED) n->closing = true;
  else if (n->staged < 0 || !write_all(n->staged, data, size)) n->stage_error = errno;
}

static void acknowledge(const char *id)
{
  size_t size = strlen(id);
  for (struct call *c = calls; c; c = c->next) {
    if (!c->done || strncmp(c->id, id, size) || (c->id[size] && c->id[size] != '.')) continue;
    c->forgotten = true;
    for (struct connection *n = connections; n; n = n->next) detach(n, c);
  }
}

static _Noreturn void leave(void)
{
  if (!is_init) kill_descendants(getpid());
  unlink("/proc/self/fd/3/sock");
  _exit(0);
}

static void handle(struct connection *n, int op, const char *id, const uint8_t *body, size_t size)
{
  struct call *c = find(id);
  struct request r;
  if (op == HELLO) put_hello(n, id);
  else if (op == DATA) stage(n, body, size);
  else if (op == SHUTDOWN) leave();
  else if (!*id) n->closing = true;
  else if (op == START || op == READ || op == WRITE) begin(n, op, id, body, size);
  else if (op == ACKNOWLEDGE) acknowledge(id);
  else if (op == INTERRUPT && c) end_call(c, INTERRUPTED);
  else if (op == DETACH && c) detach(n, c);
  else if (op == ATTACH && size == sizeof r && c) memcpy(&r, body, sizeof r), attach(n, c, &r);
  else if (op == ATTACH && size == sizeof r) put_head(n, UNKNOWN, id, 0);
  else if (op != INTERRUPT && op != DETACH) n->closing = true;
}

static bool is_id(const uint8_t *text, size_t size)
{
  for (size_t i = 0; i < size; i++)
    if (!isalnum(text[i]) && !strchr("._-", text[i] ? text[i] : '/')) return false;
  return size <= 64;
}

/* Takes one frame off what has arrived; false when there is no whole one, or the connection is at fault. */
static bool take_frame(struct connection *n)
{
  const uint8_t *p = n->in.at + n->in.start;
  size_t have = n->in.end - n->in.start;
  uint32_t size;
  char id[65] = "";
  if (n->closing || have < 4) return false;
  memcpy(&size, p, 4);
  if (size < 2 || size > MAX_FRAME || (have >= 6 && (p[5] + 2u > size || p[5] > 64))) n->closing = true;
  if (n->closing || have < 4 + (size_t)size) return false;
  memcpy(id, p + 6, p[5]);
  if (!is_id(p + 6, p[5])) n->closing = true;
  else handle(n, p[4], id, p + 6 + p[5], size - 2 - p[5]);
  consume(&n->in, 4 + size);
  return true;
}

static void receive(struct connection *n)
{
  ssize_t got = recv(n->fd, reserve(&n->in, sizeof scratch), sizeof scratch, MSG_DONTWAIT);
  if (got > 0) n->in.end += got;
  else if (got == 0 || (errno != EAGAIN && errno != EINTR)) n->closing = true;
  while (take_frame(n)) continue;
}

static void welcome(int listener)
{
  struct connection *n = calloc(1, sizeof *n);
  n->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (n->fd < 0) { free(n); return; }
  n->slot = n->staged = -1, n->next = connections;
  connections = n;
}

/* ---- the loop ---- */

static int watch(int fd, int events)
{
  if (fd < 0) return -1;
  if (slots == slots_cap) polled = realloc(polled, (slots_cap = 2 * slots_cap + 16) * sizeof *polled);
  if (!polled) _exit(1);
  polled[slots] = (struct pollfd){ .fd = fd, .events = events };
  return slots++;
}

static bool ready(int slot) { return slot >= 0 && polled[slot].revents; }

static void wait_for_events(int listener, int signals)
{
  int64_t now = now_ms(), next = is_init ? INT64_MAX : now + 1000;
  slots = 0;
  watch(listener, POLLIN), watch(signals, POLLIN);
  for (struct call *c = calls; c; c = c->next) {
    int64_t at = check_time(c, now);
    if (at < next) next = at;
    for (int i = 0; i < 2; i++) c->out_slot[i] = c->drain_at > now ? -1 : watch(c->out[i], POLLIN);
    c->status_slot = watch(c->status, POLLIN);
  }
  for (struct connection *n = connections; n; n = n->next) {
    size_t waiting = n->out.end - n->out.start;
    n->slot = watch(n->fd, (waiting ? POLLOUT : 0) | (waiting < OUT_HIGH ? POLLIN : 0));
  }
  if (poll(polled, slots, next == INT64_MAX ? -1 : next <= now ? 0 : next - now > 60000 ? 60000 : (int)(next - now)) < 0) slots = 0;
}

static void look_at_call(struct call *c)
{
  struct ending end;
  for (int i = 0; i < 2; i++)
    if (ready(c->out_slot[i])) drain(c, i, c->keep / 4); /* so that a live reader sees all of it */
  if (ready(c->status_slot)) finish(c, read(c->status, &end, sizeof end) == sizeof end ? &end : NULL);
}

/* What is closed, or forgotten and silent, goes. */
static void sweep(void)
{
  for (struct connection **p = &connections, *n; (n = *p);) {
    if (n->closing) *p = n->next, close_connection(n);
    else p = &n->next;
  }
  for (struct call **p = &calls, *c; (c = *p) || (calls_end = p, false);) {
    if (c->forgotten) drop_store(c);
    if (!c->forgotten || c->child > 0 || c->out[0] >= 0 || c->out[1] >= 0) { p = &c->next; continue; }
    *p = c->next;
    free(c->note), free(c->spill_path), free(c->state_bytes), free(c);
  }
}

static void look_at_signals(int signals)
{
  struct signalfd_siginfo info;
  while (read(signals, &info, sizeof info) == sizeof info)
    if (info.ssi_signo == SIGTERM && !is_init) leave();
  reap();
}

static _Noreturn void run(int listener, int signals)
{
  for (struct stat s;;) {
    wait_for_events(listener, signals);
    if (!is_init && (fstat(CONTROL, &s) < 0 || s.st_nlink == 0)) leave();
    if (slots > 0 && ready(1)) look_at_signals(signals);
    for (struct call *c = calls; c && slots > 0; c = c->next) look_at_call(c);
    for (struct connection *n = connections; n && slots > 0; n = n->next)
      if (ready(n->slot)) receive(n);
    for (struct connection *n = connections; n; n = n->next) pump(n);
    if (slots > 0 && ready(0)) welcome(listener);
    sweep();
  }
}

/* Nobody below may look into this process, or learn from its arguments and environment. */
static void hide(int argc, char **argv)
{
  int null = open("/dev/null", O_RDWR);
  if (null < 0) null = memfd_create("null", 0);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  prctl(PR_SET_DUMPABLE, 0), prctl(PR_SET_NAME, "init");
  fcntl(CONTROL, F_SETFD, FD_CLOEXEC);
  syscall(SYS_close_range, CONTROL + 1, ~0u, 0);
  for (char **e = environ; *e; e++) memset(*e, 0, strlen(*e));
  for (int i = 0; i < argc; i++) memset(argv[i], 0, strlen(argv[i]));
  clearenv();
}

int main(int argc, char **argv)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/proc/self/fd/3/sock" };
  sigset_t set;
  hide(argc, argv);
  is_init = getpid() == 1;
  setsid();
  if (!is_init) prctl(PR_SET_CHILD_SUBREAPER, 1);
  for (int sig = 1; sig < 32; sig++) signal(sig, sig == SIGPIPE || sig == SIGXFSZ ? SIG_IGN : SIG_DFL);
  sigemptyset(&set), sigaddset(&set, SIGCHLD), sigaddset(&set, SIGTERM);
  sigprocmask(SIG_SETMASK, &set, NULL);
  syscall(SYS_getrandom, &nonce, sizeof nonce, 0);
  umask(077);
  unlink(address.sun_path);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 128) < 0 || signals < 0) return 1;
  umask(022);
  run(listener, signals);
}

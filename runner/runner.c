/*
 * The runner: PID 1 of a sandbox (or an ordinary process, for the backend without isolation). It starts commands, drains their
 * output for ever, ends their whole process tree in time and keeps results until the host acknowledges them. README.md says how it
 * is spoken to and what it promises.
 *
 * All that runs below it is hostile. It shares nothing with it but pipes: descriptor 3, the host's control directory, is open in
 * this process alone, which can be neither traced nor looked into (not dumpable), and a result is what the supervisor of a command,
 * as closed as this process, writes into a pipe of its own.
 */
#include "runner.h"
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

uint64_t nonce;
bool is_init;
uint8_t scratch[64 << 10];
static struct pollfd *polled;
static int slots, slots_cap;

int64_t now_us(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

int64_t now_ms(void) { return now_us() / 1000; }

void drop(int *fd)
{
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

void close_from(int fd)
{
  if (syscall(SYS_close_range, fd, ~0u, 0) == 0) return;
  for (; fd < 1 << 16; fd++) close(fd);
}

bool write_all(int fd, const void *data, size_t n)
{
  for (const uint8_t *p = data; n > 0;) {
    ssize_t done = write(fd, p, n);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    p += done, n -= done;
  }
  return true;
}

_Noreturn void leave(void)
{
  if (!is_init) kill_descendants(getpid());
  unlink("/proc/self/fd/3/sock");
  _exit(0);
}

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
  watch(listener < 0 ? signals : listener, POLLIN), watch(signals, POLLIN);
  for (struct call *c = calls; c; c = c->next) {
    int64_t at = check_time(c, now);
    if (at < next) next = at;
    for (int i = 0; i < 2; i++) c->out_slot[i] = c->drain_at > now ? -1 : watch(c->out[i], POLLIN);
    c->status_slot = watch(c->status, POLLIN);
  }
  for (struct connection *n = connections; n; n = n->next) {
    size_t waiting = n->out.end - n->out.start;
    n->slot = waiting < OUT_HIGH || n->stream ? watch(n->fd, POLLIN) : -1;
    if (waiting) watch(n->out_fd, POLLOUT);
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
    if (n->closing && !lose_place(n)) *p = n->next, close_connection(n);
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
    start_spare();
    if (slots > 0 && listener >= 0 && ready(0)) welcome(listener);
    sweep();
  }
}

/* Nobody below may look into this process, or learn from its arguments and environment. A byte stream leaves 0 and 1, which children inherit, at once. */
static void hide(int argc, char **argv, bool stream)
{
  if (stream) {
    int in = fcntl(0, F_DUPFD_CLOEXEC, STREAM_OUT + 1), out = fcntl(1, F_DUPFD_CLOEXEC, STREAM_OUT + 1);
    if (in < 0 || out < 0 || dup3(in, STREAM_IN, O_CLOEXEC) < 0 || dup3(out, STREAM_OUT, O_CLOEXEC) < 0) _exit(1);
  }
  int null = open("/dev/null", O_RDWR);
  if (null < 0) null = memfd_create("null", 0);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  prctl(PR_SET_DUMPABLE, 0), prctl(PR_SET_NAME, "init");
  fcntl(CONTROL, F_SETFD, FD_CLOEXEC);
  close_from(stream ? STREAM_OUT + 1 : CONTROL + 1);
  for (char **e = environ; *e; e++) memset(*e, 0, strlen(*e));
  for (int i = 0; i < argc; i++) memset(argv[i], 0, strlen(argv[i]));
  clearenv();
}

static int listen_at(const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  strcpy(address.sun_path, path);
  umask(077);
  unlink(path);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 128) < 0) _exit(1);
  return listener;
}

/* No arguments: a socket in the folder that is descriptor 3. "stream": 0 and 1; "isolate" and whether there is a network: the same, in namespaces of its own. */
int main(int argc, char **argv)
{
  sigset_t set;
  if (argc == 6 && strcmp(argv[1], "attach") == 0) return attach_view(argv + 2);
  if (argc > 1 && strcmp(argv[1], "start") == 0) return start_on_mounts(argv + 2);
  bool isolated = argc == 3 && strcmp(argv[1], "isolate") == 0, stream = isolated || (argc == 2 && strcmp(argv[1], "stream") == 0);
  bool with_network = isolated && strcmp(argv[2], "host") == 0;
  hide(argc, argv, stream);
  if (isolated) isolate(with_network);
  is_init = getpid() == 1;
  setsid();
  if (!is_init) prctl(PR_SET_CHILD_SUBREAPER, 1);
  for (int sig = 1; sig < 32; sig++) signal(sig, sig == SIGPIPE || sig == SIGXFSZ ? SIG_IGN : SIG_DFL);
  sigemptyset(&set), sigaddset(&set, SIGCHLD), sigaddset(&set, SIGTERM);
  sigprocmask(SIG_SETMASK, &set, NULL);
  syscall(SYS_getrandom, &nonce, sizeof nonce, 0);
  int listener = stream ? -1 : listen_at("/proc/self/fd/3/sock"), signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0) return 1;
  if (stream) open_stream();
  umask(022);
  run(listener, signals);
}

/* The life of a call: started, ended in time, kept until it is acknowledged. */
#include "runner.h"
#include <sys/ioctl.h>

#define MAX_KEEP (130u << 20)
#define MAX_KEPT_IN_ALL (64u << 20)
#define MAX_STATE (256u << 10)

struct call *calls, **calls_end = &calls;

struct call *find(const char *id)
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

void finish(struct call *c, const struct ending *end)
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
  repeat_ended(c);
  bound_kept_output(c);
}

void end_call(struct call *c, uint32_t why)
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
int64_t check_time(struct call *c, int64_t now)
{
  if (c->done) return c->drain_at > now ? c->drain_at : INT64_MAX;
  int64_t silent = c->no_output_ms ? c->last_output + c->no_output_ms : INT64_MAX;
  if (c->why && now >= c->force_at) force_end(c, now);
  if (!c->why && now >= c->deadline) end_call(c, TIMED_OUT);
  if (!c->why && now >= silent) end_call(c, NO_OUTPUT);
  return c->why ? c->force_at : c->deadline < silent ? c->deadline : silent;
}

/* words: of START cwd, spill prefix, argv..., NULL, environment..., NULL; of READ and WRITE the path. */
int launch(struct call *c, int op, const struct request *r, char **words, int in)
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

void set_time(struct call *c, const struct request *r)
{
  c->started_us = now_us(), c->last_output = now_ms(), c->no_output_ms = r->no_output_ms;
  c->deadline = r->timeout_ms ? c->last_output + r->timeout_ms : INT64_MAX;
}

struct call *make_call(const char *id, int op, const struct request *r, char **words)
{
  struct call *c = calloc(1, sizeof *c);
  uint32_t random = 0;
  strcpy(c->id, id);
  c->file = op != START, c->repeat = op == START && r->flags & REPEAT;
  c->spill = c->state = c->status = c->out[0] = c->out[1] = c->out_slot[0] = c->out_slot[1] = c->status_slot = -1;
  c->keep = r->keep < 1024 ? 1024 : r->keep > MAX_KEEP ? MAX_KEEP : r->keep;
  set_time(c, r);
  syscall(SYS_getrandom, &random, sizeof random, 0);
  if (op == START && r->spill && asprintf(&c->spill_path, "%s%08x", words[1], random) > 0) c->spill_max = r->spill;
  *calls_end = c, calls_end = &c->next;
  return c;
}

/* What is kept of a call's output: its head, a ring for its tail, a count, a bounded file. */
#include "runner.h"
#include <linux/openat2.h>

/* A command that changes stream with every byte would be answered in a million frames: after so many, streams are no longer told apart. */
#define MAX_SWITCHES 65536u

size_t place(const struct call *c, uint64_t offset)
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

void drop_store(struct call *c)
{
  if (c->bytes) munmap(c->bytes, 2ull * c->keep);
  c->bytes = NULL;
}

/* Made when output no longer fits, while all of it still lies in the store in order. /proc/self is the runner here: no magic link is followed. */
static void open_spill(struct call *c)
{
  uint64_t first = c->total < c->spill_max ? c->total : c->spill_max;
  struct open_how how = { .mode = 0644, .resolve = RESOLVE_NO_MAGICLINKS };
  how.flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  c->spill = syscall(SYS_openat2, AT_FDCWD, c->spill_path, &how, sizeof how);
  c->spilled = c->spill >= 0;
  if (first > 0 && (!c->bytes || !write_all(c->spill, c->bytes, first))) drop(&c->spill);
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
  if (c->stream != (uint32_t)stream && c->switches++ > MAX_SWITCHES) stream = c->stream;
  c->stream = stream;
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

/* Takes what lies in a pipe. After the end of the step that is dropped, and a flood only every 10 ms: its writer waits, the sandbox has its CPU. */
void drain(struct call *c, int stream, size_t max)
{
  ssize_t n = read(c->out[stream], scratch, max < sizeof scratch ? max : sizeof scratch);
  if (n > 0 && c->done) c->drain_at = now_ms() + 10;
  else if (n > 0) keep_output(c, stream, scratch, n);
  else if (n == 0 || (errno != EAGAIN && errno != EINTR)) drop(&c->out[stream]);
}

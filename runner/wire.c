/* The protocol of README.md. Nothing that arrives here can do more than close its connection. */
#include "runner.h"
#include <ctype.h>
#include <sys/socket.h>

#define VERSION 1u
#define MAX_FRAME (4u << 20)
#define MAX_STAGED (65u << 20)

struct connection *connections;

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

void put(struct buffer *b, const void *data, size_t n)
{
  if (n > 0) memcpy(reserve(b, n), data, n);
  b->end += n;
}

/* Starts a frame whose body will have `n` bytes. */
static void put_head(struct connection *n, int type, const char *id, size_t body)
{
  uint32_t id_size = strlen(id), size = 2 + id_size + body;
  uint8_t head[6] = { size, size >> 8, size >> 16, size >> 24, type, id_size };
  reserve(&n->out, size + 4);
  put(&n->out, head, 6), put(&n->out, id, id_size);
}

static void put_hello(struct connection *n, const char *token, bool with_calls)
{
  uint32_t count = 0, size = 0, version = VERSION;
  for (struct call *c = calls; c && with_calls; c = c->next)
    if (!c->forgotten && *c->id) count++, size += 10 + strlen(c->id);
  put_head(n, HELLO_REPLY, token, 16 + size);
  put(&n->out, &version, 4), put(&n->out, &nonce, 8), put(&n->out, &count, 4);
  for (struct call *c = calls; c && with_calls; c = c->next) {
    uint8_t length = strlen(c->id), done = c->done;
    if (c->forgotten || !*c->id) continue;
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
  uint64_t tail_start = c->total > c->keep ? c->total - (c->keep - head) : head;
  if (!c->bytes) a->cursor = c->total;
  if (a->cursor >= head && a->cursor < tail_start) a->cursor = tail_start;
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

void detach(struct connection *n, const struct call *c)
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
void pump(struct connection *n)
{
  for (ssize_t sent = 1; sent > 0 && !n->closing;) {
    for (struct attachment *a = n->attached, *next; a; a = next) {
      next = a->next;
      while ((a->live || a->call->done) && n->out.end - n->out.start < OUT_HIGH && put_output(n, a)) continue;
      if (!a->call->done || n->out.end - n->out.start >= OUT_HIGH) continue;
      put_done(n, a->call), detach(n, a->call);
    }
    if (n->out.start == n->out.end) return;
    sent = write(n->out_fd, n->out.at + n->out.start, n->out.end - n->out.start);
    if (sent > 0) consume(&n->out, sent);
    else if (errno != EAGAIN && errno != EINTR) n->closing = n->ended = true;
  }
}

void close_connection(struct connection *n)
{
  detach(n, NULL);
  drop(&n->fd), drop(&n->staged);
  free(n->in.at), free(n->out.at), free(n);
}

/* Splits NUL-terminated strings into pointers, with a NULL after argv and at the end. NULL when they are not as many as the request says. */
char **split(int op, const struct request *r, char *text, size_t size)
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
  bool repeat = op == START && !c && r.flags & REPEAT, ahead = repeat && r.flags & AHEAD;
  if (repeat && !ahead) c = take_spare(id, &r, body + sizeof r, size - sizeof r, n->staged);
  if (repeat) note_repeat(&r, body + sizeof r, size - sizeof r);
  if (ahead) finish(c = make_call(id, op, &r, words), &(struct ending){ ENDED, 0, 0 });
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

static void acknowledge(const char *id, bool exactly)
{
  size_t size = strlen(id);
  for (struct call *c = calls; c; c = c->next) {
    if (!c->done || strncmp(c->id, id, size) || (c->id[size] && (exactly || c->id[size] != '.'))) continue;
    c->forgotten = true;
    for (struct connection *n = connections; n; n = n->next) detach(n, c);
  }
}

static void handle(struct connection *n, int op, const char *id, const uint8_t *body, size_t size)
{
  struct call *c = find(id);
  if (op == HELLO) put_hello(n, id, size == 0);
  else if (op == DATA) stage(n, body, size);
  else if (op == SHUTDOWN) leave();
  else if (!*id) n->closing = true;
  else if (op == START || op == READ || op == WRITE) begin(n, op, id, body, size);
  else if (op == ACKNOWLEDGE) acknowledge(id, size > 0);
  else if (op == INTERRUPT && c) end_call(c, INTERRUPTED);
  else if (op == DETACH && c) detach(n, c);
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
  if (n->closing || (n->stream && !is_tagged(n))) return false;
  size_t lead = n->stream ? TAG : 0, have = n->in.end - n->in.start;
  const uint8_t *p = n->in.at + n->in.start + lead;
  uint32_t size;
  char id[65] = "";
  if (have < lead + 4) return false;
  have -= lead;
  memcpy(&size, p, 4);
  if (size < 2 || size > MAX_FRAME || (have >= 6 && (p[5] + 2u > size || p[5] > 64))) n->closing = true;
  if (n->closing || have < 4 + (size_t)size) return false;
  memcpy(id, p + 6, p[5]);
  if (!is_id(p + 6, p[5])) n->closing = true;
  else handle(n, p[4], id, p + 6 + p[5], size - 2 - p[5]);
  consume(&n->in, lead + 4 + size);
  return true;
}

void receive(struct connection *n)
{
  ssize_t got = n->stream ? read_stream(n) : read(n->fd, reserve(&n->in, sizeof scratch), sizeof scratch);
  if (got > 0 && !n->stream) n->in.end += got;
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) n->closing = n->ended = true;
  while (take_frame(n)) continue;
}

void welcome(int listener)
{
  struct connection *n = calloc(1, sizeof *n);
  n->fd = n->out_fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (n->fd < 0) { free(n), usleep(10000); return; } /* out of descriptors: no busy loop */
  n->slot = n->staged = -1, n->next = connections;
  connections = n;
}

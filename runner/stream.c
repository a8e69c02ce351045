/*
 * A byte stream in place of a socket: descriptors 0 and 1, which an engine carries to whoever attaches to it. Who that is, and where a frame begins, must show in the bytes alone: the first 32 are a
 * secret that only the host knows. Wherever it comes again somebody else has attached: half a frame of the one before is dropped, as is what was being written, and the secret goes back with
 * the eight bytes that follow it, a tag of the new one's own, which then stands before each of its frames. What an engine brings late of the one before has another tag.
 */
#include "runner.h"

static uint8_t secret[SECRET], window[SECRET - 1 + sizeof scratch]; /* the end of what came before lies in front of what comes */

static void empty(struct buffer *b)
{
  free(b->at);
  *b = (struct buffer){ 0 };
}

static void forget(struct connection *n)
{
  detach(n, NULL);
  drop(&n->staged);
  n->stage_error = 0;
  empty(&n->in);
}

static void start_again(struct connection *n)
{
  forget(n);
  empty(&n->out);
  n->closing = n->lost = n->tagged = false;
}

/* Waits for the secret: until it is there, there is nothing else to do. */
void open_stream(void)
{
  struct connection *n = calloc(1, sizeof *n);
  for (size_t have = 0; have < SECRET;) {
    ssize_t got = read(STREAM_IN, secret + have, SECRET - have);
    if (got <= 0 && errno != EINTR) leave();
    if (got > 0) have += got;
  }
  fcntl(STREAM_IN, F_SETFL, O_NONBLOCK), fcntl(STREAM_OUT, F_SETFL, O_NONBLOCK);
  n->fd = STREAM_IN, n->out_fd = STREAM_OUT, n->slot = n->staged = -1, n->stream = true;
  connections = n;
}

/* As read, into the buffer of the connection. */
ssize_t read_stream(struct connection *n)
{
  uint8_t *from = window + SECRET - 1;
  ssize_t got = read(n->fd, from, sizeof scratch);
  if (got <= 0) return got;
  uint8_t *end = from + got;
  for (uint8_t *at = window; (at = memmem(at, end - at, secret, SECRET)); from = at) at += SECRET, start_again(n);
  if (!n->lost) put(&n->in, from, end - from);
  memmove(window, end - (SECRET - 1), SECRET - 1);
  return got;
}

/* Whether what stands next is of the one who attached last. The first time that is the tag itself, which is taken. */
bool is_tagged(struct connection *n)
{
  if (n->in.end - n->in.start < TAG) return false;
  const uint8_t *p = n->in.at + n->in.start;
  if (n->tagged) n->closing = memcmp(p, n->tag, TAG);
  if (n->tagged) return !n->closing;
  memcpy(n->tag, p, TAG);
  put(&n->out, secret, SECRET), put(&n->out, n->tag, TAG);
  n->in.start += TAG, n->tagged = true;
  return is_tagged(n);
}

/* A stream that is at fault stays: its reader is told by a frame that is none, and comes again. One that has ended ends the runner. */
bool lose_place(struct connection *n)
{
  uint32_t none = 0;
  if (!n->stream) return false;
  if (n->ended) leave();
  forget(n);
  if (!n->lost) put(&n->out, &none, sizeof none);
  n->lost = true, n->closing = false;
  return true;
}

/*
 * A command that comes again and again (the shell of a tool) is started ahead of time and waits for its standard input, so that nobody waits for it to start.
 * At most one waits. It is a call without an id until a START with the same words takes it over.
 */
#include "runner.h"
#include <poll.h>

#define MAX_INPUT 4096 /* what a pipe takes at once; a command with more is started anew */

static struct request terms;
static uint8_t *words; /* of the last START that is to be repeated */
static size_t words_size;
static struct call *waiting;
static int input = -1;
static bool wanted;

/* Its input ends: a shell then ends by itself, and nobody asks for what it says. */
static void discard(void)
{
  waiting = NULL;
  drop(&input);
}

/* One that waits was started with other words. */
void note_repeat(const struct request *r, const uint8_t *text, size_t size)
{
  discard();
  terms = *r, terms.timeout_ms = terms.no_output_ms = 0;
  if (size == words_size && !memcmp(words, text, size)) return;
  free(words);
  words = malloc(size), words_size = words ? size : 0;
  if (words) memcpy(words, text, size);
}

void repeat_ended(struct call *c)
{
  if (*c->id) wanted = c->repeat && c->end.kind == ENDED;
  else c->forgotten = true;
  if (c == waiting) discard();
}

void start_spare(void)
{
  int ends[2];
  if (!wanted) return;
  wanted = false;
  char **split_words = waiting || words_size == 0 ? NULL : split(START, &terms, (char *)words, words_size);
  if (!split_words) return;
  if (pipe2(ends, O_CLOEXEC) == 0) {
    fcntl(ends[1], F_SETFL, O_NONBLOCK); /* another reader of the same pipe could fill it */
    input = ends[1];
    struct call *c = waiting = make_call("", START, &terms, split_words);
    int failure = launch(c, START, &terms, split_words, ends[0]);
    if (failure) finish(c, &(struct ending){ NOT_STARTED, failure, 0 });
    close(ends[0]);
  }
  free(split_words);
}

/* The spare with its input, when it is what is asked for; else NULL, and none waits any more. */
struct call *take_spare(const char *id, const struct request *r, const uint8_t *text, size_t size, int staged)
{
  struct call *c = waiting;
  if (!c) return NULL;
  struct pollfd ended = { .fd = c->status, .events = POLLIN };
  bool same = r->a == terms.a && r->keep == terms.keep && r->spill == terms.spill && size == words_size && !memcmp(words, text, size);
  ssize_t n = staged < 0 ? 0 : pread(staged, scratch, MAX_INPUT + 1, 0);
  bool fits = n >= 0 && n <= MAX_INPUT && !memchr(scratch, 0, n);
  scratch[n < 0 ? 0 : n] = 0;
  bool taken = same && fits && poll(&ended, 1, 0) == 0 && write(input, scratch, n + 1) == n + 1;
  discard();
  if (!taken) return NULL;
  strcpy(c->id, id);
  set_time(c, r);
  return c;
}

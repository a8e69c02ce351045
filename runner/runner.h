/*
 * What the parts of the runner share: runner.c has the loop, wire.c the protocol, calls.c the life of a call, output.c what is kept of its output,
 * children.c what runs in its process, tree.c the killing, spare.c the command that is started ahead, stream.c the byte stream in place of a socket,
 * isolate.c the namespaces where no runtime made them. mounts.c is another program in the same file.
 */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HELLO = 1, START, READ, WRITE, DATA, DETACH, INTERRUPT, ACKNOWLEDGE, SHUTDOWN };
enum { HELLO_REPLY = 0x81, OUTPUT, DONE };
enum { LIVE = 1, CAPTURE = 2, REPEAT = 4, AHEAD = 8 }; /* flags of a request */
enum { TIMED_OUT = 1, NO_OUTPUT, INTERRUPTED }; /* why the runner ended a command */
enum { ENDED, KILLED, NOT_STARTED };            /* what is reported of a child; its status is that of wait, or an errno */

int attach_view(char **argv);
int start_on_mounts(char **argv);

/* Descriptors: of the runner (the host's folder, or both ends of a byte stream), of its children, of a command. */
enum { CONTROL = 3, STREAM_IN = 3, STREAM_OUT = 4, STATUS = 3, STATE = 4, STATE_IN_COMMAND = 9 };
enum { SECRET = 32, TAG = 8 };

struct ending { int32_t kind, status; uint64_t value; };

/* The head of START, READ and WRITE. a: how many words of argv, the offset in the file, the mode; b: bytes to read. */
struct request { uint32_t flags, timeout_ms, no_output_ms, keep, spill, reserved; uint64_t from, a, b; };

struct call {
  struct call *next;
  char id[65], *note, *spill_path;
  bool file, repeat, done, forgotten, forced, spilled;
  pid_t child;                            /* the supervisor, or the reader or writer of a file; 0 once reaped */
  int out[2], out_slot[2], status, status_slot, state, spill;
  uint32_t keep, spill_max, no_output_ms, state_size, why, stream, switches;
  uint8_t *bytes, *streams, *state_bytes; /* head and ring of the output, and of which stream each byte is */
  uint64_t total, duration_us;
  int64_t started_us, deadline, last_output, force_at, drain_at; /* milliseconds, but for the first */
  struct ending end;
};

struct attachment { struct attachment *next; struct call *call; uint64_t cursor; bool live; };
struct buffer { uint8_t *at; size_t start, end, cap; };
struct connection {
  struct connection *next;
  int fd, out_fd, slot, staged, stage_error;
  bool closing, ended;
  bool stream, lost, tagged; /* see stream.c */
  uint8_t tag[TAG];
  struct buffer in, out;
  struct attachment *attached;
};

extern struct call *calls, **calls_end; /* oldest first */
extern struct connection *connections;
extern uint64_t nonce;
extern bool is_init;
extern uint8_t scratch[64 << 10];
extern pid_t shell; /* in a supervisor: the command and, once it ended, its status */
extern int shell_status;

/* runner.c */
int64_t now_us(void);
int64_t now_ms(void);
void drop(int *fd);
void close_from(int fd);
bool write_all(int fd, const void *data, size_t n);
_Noreturn void leave(void);

/* tree.c */
void reap(void);
void kill_descendants(pid_t root);

/* children.c */
void take_descriptors(int in, int out, int err, int status, int state);
_Noreturn void supervise(const char *cwd, char **argv, char **env, bool capture);
_Noreturn void read_file(const char *path, uint64_t offset, uint64_t max);
_Noreturn void write_file(char *path, uint32_t mode);

/* output.c */
size_t place(const struct call *c, uint64_t offset);
void drop_store(struct call *c);
void drain(struct call *c, int stream, size_t max);

/* calls.c */
struct call *find(const char *id);
void set_time(struct call *c, const struct request *r);
struct call *make_call(const char *id, int op, const struct request *r, char **words);
int launch(struct call *c, int op, const struct request *r, char **words, int in);
void finish(struct call *c, const struct ending *end);
void end_call(struct call *c, uint32_t why);
int64_t check_time(struct call *c, int64_t now);

/* spare.c */
void note_repeat(const struct request *r, const uint8_t *text, size_t size);
void repeat_ended(struct call *c);
void start_spare(void);
struct call *take_spare(const char *id, const struct request *r, const uint8_t *text, size_t size, int staged);

/* wire.c */
enum { OUT_HIGH = 256 << 10 };
char **split(int op, const struct request *r, char *text, size_t size);
void welcome(int listener);
void receive(struct connection *n);
void pump(struct connection *n);
void detach(struct connection *n, const struct call *c);
void close_connection(struct connection *n);
void put(struct buffer *b, const void *data, size_t n);

/* stream.c */
void open_stream(void);
ssize_t read_stream(struct connection *n);
bool is_tagged(struct connection *n);
bool lose_place(struct connection *n);

/* isolate.c */
void isolate(bool with_network);

/* filter.c */
void filter_calls(void);

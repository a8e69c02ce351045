/* System calls, where no runtime filters them: what an engine refuses by default for its harm, so far as the capabilities that are left do not refuse it. */
#include "runner.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#if defined __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define ARCH AUDIT_ARCH_AARCH64
#endif
/* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
#define NAMESPACES 0x7e020000u

/* No way around: namespaces, keys, kernel programs, files by handle, page faults for others to serve. */
static const int refused[] = { SYS_unshare, SYS_setns, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd,
                               SYS_open_by_handle_at, SYS_kcmp, SYS_lookup_dcookie, SYS_quotactl, SYS_syslog, SYS_fanotify_init };
/* Callers have another way: clone3 hides its flags from a filter. */
static const int absent[] = { SYS_clone3, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register };
/* AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET; above all not AF_VSOCK, which leads to the hypervisor. */
static const int families[] = { 1, 2, 10, 16, 17 };

static struct sock_filter program[128];
static unsigned short size;

static void emit(uint16_t code, uint32_t k, uint8_t yes, uint8_t no) { program[size++] = (struct sock_filter){ code, yes, no, k }; }
static void load(uint32_t at) { emit(BPF_LD | BPF_W | BPF_ABS, at, 0, 0); }
static void answer(uint32_t what) { emit(BPF_RET | BPF_K, what, 0, 0); }
static uint32_t argument(int n) { return offsetof(struct seccomp_data, args) + 8 * n; } /* its lower half: both kinds of machine keep that first */

/* The next `skip` instructions are for that call only. */
static void only(int call, uint8_t skip) { emit(BPF_JMP | BPF_JEQ | BPF_K, call, 0, skip); }

static void answer_for(const int *calls, size_t count, uint32_t what)
{
  for (size_t i = 0; i < count; i++) only(calls[i], 1), answer(what);
}

void filter_calls(void)
{
  uint32_t never = SECCOMP_RET_ERRNO | EPERM, unknown = SECCOMP_RET_ERRNO | ENOSYS;
  size_t count = sizeof families / sizeof *families;
  load(offsetof(struct seccomp_data, arch));
  emit(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0), answer(unknown);
  load(offsetof(struct seccomp_data, nr));
  emit(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), answer(unknown); /* the third kind of call of x86-64 */
  answer_for(refused, sizeof refused / sizeof *refused, never);
  answer_for(absent, sizeof absent / sizeof *absent, unknown);
  only(SYS_clone, 4), load(argument(0)), emit(BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 0, 1), answer(never), answer(SECCOMP_RET_ALLOW);
  only(SYS_socket, count + 3), load(argument(0));
  for (size_t i = 0; i < count; i++) emit(BPF_JMP | BPF_JEQ | BPF_K, families[i], count - i, 0);
  answer(SECCOMP_RET_ERRNO | EAFNOSUPPORT), answer(SECCOMP_RET_ALLOW);
  /* One's own limits may be set and those of others read: a processor time of zero would end the runner. */
  only(SYS_prlimit64, 8), load(argument(0)), emit(BPF_JMP | BPF_JEQ | BPF_K, 0, 5, 0);
  load(argument(2)), emit(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2), load(argument(2) + 4), emit(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0);
  answer(never), answer(SECCOMP_RET_ALLOW);
  answer(SECCOMP_RET_ALLOW);
  struct sock_fprog all = { size, program };
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all) < 0) _exit(1);
}

/**
 * System calls of a sandbox: what common container engines allow by default, without io_uring and 32-bit programs (a filter
 * for both would double the time of a create). What is refused by name answers "operation not permitted"; what is unknown
 * answers "no such call", so that libraries newer than this list fall back instead of failing.
 */
export function seccompProfile(): object {
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: ENOSYS,
    architectures: [process.arch === "arm64" ? "SCMP_ARCH_AARCH64" : "SCMP_ARCH_X86_64"],
    syscalls: [
      { names: words(ALLOWED), action: "SCMP_ACT_ALLOW" },
      { names: words(REFUSED), action: "SCMP_ACT_ERRNO", errnoRet: EPERM },
      // Above all not AF_VSOCK, which would reach the hypervisor past the network namespace.
      ...FAMILIES.map((value) => ({ names: ["socket"], action: "SCMP_ACT_ALLOW", args: [int(0, value)] })),
      // One's own limits may be set and those of others read: a processor time of zero would end the runner.
      { names: ["prlimit64"], action: "SCMP_ACT_ALLOW", args: [int(0, 0)] },
      { names: ["prlimit64"], action: "SCMP_ACT_ALLOW", args: [{ index: 2, value: 0, op: "SCMP_CMP_EQ" }] },
      ...PERSONALITIES.map((value) => ({
        names: ["personality"],
        action: "SCMP_ACT_ALLOW",
        args: [{ index: 0, value, op: "SCMP_CMP_EQ" }],
      })),
      // No new namespaces; clone3 hides its flags from this filter, so callers are sent to clone.
      {
        names: ["clone"],
        action: "SCMP_ACT_ALLOW",
        args: [{ index: 0, value: NAMESPACE_FLAGS, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }],
      },
      { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS },
    ],
  };
}

const EPERM = 1;
const ENOSYS = 38;
/** AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET. */
const FAMILIES = [1, 2, 10, 16, 17];
/** Linux, 32-bit Linux, the two without address randomisation, and the query. */
const PERSONALITIES = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];
/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const NAMESPACE_FLAGS = 0x7e020000;

/** An argument that the kernel takes as an int: it does not look at the upper half, so neither must the filter. */
function int(index: number, value: number): object {
  return { index, value: 0xffffffff, valueTwo: value, op: "SCMP_CMP_MASKED_EQ" };
}

function words(text: string): string[] {
  return text.trim().split(/\s+/);
}

const ALLOWED = `
  access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64
  fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr
  fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr ioctl lchown lgetxattr link
  linkat listxattr llistxattr lremovexattr lseek lsetxattr lstat mkdir mkdirat mknod mknodat name_to_handle_at
  newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink
  readlinkat readv removexattr rename renameat renameat2 rmdir sendfile setxattr splice stat statfs statx symlink
  symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat utimes vmsplice write
  writev fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch landlock_add_rule
  landlock_create_ruleset landlock_restrict_self epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2
  epoll_wait eventfd eventfd2 poll ppoll pselect6 select signalfd signalfd4 timerfd_create timerfd_gettime
  timerfd_settime io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit brk madvise membarrier
  memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mprotect mremap msync munlock munlockall munmap
  pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages capget capset execve execveat exit exit_group
  fork vfork getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getpriority getresgid getresuid
  getrlimit getrusage gettid getuid ioprio_get ioprio_set prctl ptrace process_vm_readv process_vm_writev
  pidfd_open pidfd_send_signal restart_syscall rseq seccomp setfsgid setfsuid setgid setgroups setpgid setpriority
  setregid setresgid setresuid setreuid setrlimit setsid setuid set_robust_list get_robust_list set_tid_address
  set_thread_area get_thread_area arch_prctl modify_ldt wait4 waitid sched_getaffinity sched_getattr sched_getparam
  sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_setaffinity
  sched_setattr sched_setparam sched_setscheduler sched_yield getcpu futex futex_wait futex_waitv futex_wake
  futex_requeue alarm kill pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
  rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sigaltstack tgkill tkill getitimer setitimer adjtimex
  clock_adjtime clock_getres clock_gettime clock_nanosleep getrandom gettimeofday nanosleep sysinfo time times
  timer_create timer_delete timer_getoverrun timer_gettime timer_settime uname accept accept4 bind connect
  getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg sendto setsockopt shutdown
  socketpair mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd
  semctl semget semop semtimedop shmat shmctl shmdt shmget`;

const REFUSED = `
  acct add_key bpf chroot clock_settime delete_module fanotify_init file_setattr finit_module fsconfig fsmount
  fsopen fspick get_mempolicy init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp
  kexec_file_load kexec_load keyctl lookup_dcookie mbind migrate_pages mount mount_setattr move_mount move_pages
  nfsservctl open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root process_madvise quotactl quotactl_fd
  reboot request_key set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday swapoff
  swapon syslog umount umount2 unshare userfaultfd vhangup`;

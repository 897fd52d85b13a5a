//! Which system calls Docker's default profile allows (github.com/moby/profiles, read in 2026 at
//! 02e898b), as lists of our own: grouped by what they are for, with what depends on capabilities
//! and machines apart. Names that libseccomp does not know yet are passed over by the compiler.

/// Always allowed.
#[rustfmt::skip]
pub(super) const ALWAYS: &[&[&str]] = &[
    // Files: names, content, what is known of them
    &[
        "access", "chdir", "chmod", "chown", "chown32", "close", "close_range", "copy_file_range",
        "creat", "dup", "dup2", "dup3", "faccessat", "faccessat2", "fadvise64", "fadvise64_64",
        "fallocate", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat",
        "fcntl", "fcntl64", "fdatasync", "fgetxattr", "flistxattr", "flock", "fremovexattr",
        "fsetxattr", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate",
        "ftruncate64", "futimesat", "getcwd", "getdents", "getdents64", "getxattr", "getxattrat",
        "ioctl", "lchown", "lchown32", "lgetxattr", "link", "linkat", "listmount", "listxattr",
        "listxattrat", "llistxattr", "_llseek", "lremovexattr", "lseek", "lsetxattr", "lstat",
        "lstat64", "mkdir", "mkdirat", "mknod", "mknodat", "name_to_handle_at", "newfstatat",
        "open", "openat", "openat2", "pipe", "pipe2", "pread64", "preadv", "preadv2", "pwrite64",
        "pwritev", "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv",
        "removexattr", "removexattrat", "rename", "renameat", "renameat2", "rmdir", "sendfile",
        "sendfile64", "setxattr", "setxattrat", "splice", "stat", "stat64", "statfs", "statfs64",
        "statmount", "statx", "symlink", "symlinkat", "sync", "sync_file_range", "syncfs", "tee",
        "truncate", "truncate64", "umask", "unlink", "unlinkat", "utime", "utimensat",
        "utimensat_time64", "utimes", "vmsplice", "write", "writev",
    ],
    // Waiting for events, and asking for files in the background
    &[
        "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait",
        "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "fanotify_mark",
        "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "io_cancel",
        "io_destroy", "io_getevents", "io_pgetevents", "io_pgetevents_time64", "io_setup",
        "io_submit", "_newselect", "poll", "ppoll", "ppoll_time64", "pselect6", "pselect6_time64",
        "select",
    ],
    // Sockets but for socket(2), whose family is judged
    &[
        "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt",
        "listen", "recv", "recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg", "send", "sendmmsg",
        "sendmsg", "sendto", "setsockopt", "shutdown", "socketcall", "socketpair",
    ],
    // Memory
    &[
        "brk", "cachestat", "madvise", "map_shadow_stack", "membarrier", "memfd_create",
        "memfd_secret", "mincore", "mlock", "mlock2", "mlockall", "mmap", "mmap2", "mprotect",
        "mremap", "mseal", "msync", "munlock", "munlockall", "munmap", "pkey_alloc", "pkey_free",
        "pkey_mprotect", "process_mrelease", "remap_file_pages",
    ],
    // Processes and threads; clone(2) is judged by its flags
    &[
        "execve", "execveat", "exit", "exit_group", "fork", "futex", "futex_requeue",
        "futex_time64", "futex_wait", "futex_waitv", "futex_wake", "get_robust_list",
        "get_thread_area", "getcpu", "getpgid", "getpgrp", "getpid", "getppid", "getpriority",
        "getrusage", "getsid", "gettid", "ioprio_get", "ioprio_set", "kill", "pidfd_open",
        "pidfd_send_signal", "prctl", "rseq", "sched_get_priority_max", "sched_get_priority_min",
        "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler",
        "sched_rr_get_interval", "sched_rr_get_interval_time64", "sched_setaffinity",
        "sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield", "set_robust_list",
        "set_thread_area", "set_tid_address", "setpgid", "setpriority", "setsid", "tgkill", "tkill",
        "uretprobe", "vfork", "wait4", "waitid", "waitpid",
    ],
    // Looking into processes of one's own, safe since Linux 4.8
    &[
        "process_vm_readv", "process_vm_writev", "ptrace",
    ],
    // Who one is and what one may
    &[
        "capget", "capset", "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32",
        "getgroups", "getgroups32", "getresgid", "getresgid32", "getresuid", "getresuid32",
        "getuid", "getuid32", "landlock_add_rule", "landlock_create_ruleset",
        "landlock_restrict_self", "seccomp", "setfsgid", "setfsgid32", "setfsuid", "setfsuid32",
        "setgid", "setgid32", "setgroups", "setgroups32", "setregid", "setregid32", "setresgid",
        "setresgid32", "setresuid", "setresuid32", "setreuid", "setreuid32", "setuid", "setuid32",
    ],
    // Signals
    &[
        "pause", "restart_syscall", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
        "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait",
        "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sigaltstack", "signalfd", "signalfd4",
        "sigprocmask", "sigreturn",
    ],
    // Time; setting the clock needs CAP_SYS_TIME in the kernel, too
    &[
        "adjtimex", "alarm", "clock_adjtime", "clock_adjtime64", "clock_getres",
        "clock_getres_time64", "clock_gettime", "clock_gettime64", "clock_nanosleep",
        "clock_nanosleep_time64", "getitimer", "gettimeofday", "nanosleep", "setitimer", "time",
        "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64",
        "timer_settime", "timer_settime64", "timerfd_create", "timerfd_gettime",
        "timerfd_gettime64", "timerfd_settime", "timerfd_settime64", "times",
    ],
    // Messages, semaphores and shared memory
    &[
        "ipc", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedreceive_time64",
        "mq_timedsend", "mq_timedsend_time64", "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd",
        "semctl", "semget", "semop", "semtimedop", "semtimedop_time64", "shmat", "shmctl", "shmdt",
        "shmget",
    ],
    // The machine, limits and chance
    &[
        "getrandom", "getrlimit", "prlimit64", "riscv_hwprobe", "setrlimit", "sysinfo",
        "ugetrlimit", "uname",
    ],
];

/// Allowed beside with a capability, which the kernel asks for as well.
#[rustfmt::skip]
pub(super) const BY_CAPABILITY: &[(&str, &[&str])] = &[
    ("CAP_BPF", &["bpf"]),
    ("CAP_DAC_READ_SEARCH", &["open_by_handle_at"]),
    ("CAP_PERFMON", &["perf_event_open"]),
    ("CAP_SYSLOG", &["syslog"]),
    ("CAP_SYS_ADMIN", &[
        "bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick",
        "lookup_dcookie", "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "mount",
        "mount_setattr", "move_mount", "open_tree", "perf_event_open", "quotactl", "quotactl_fd",
        "setdomainname", "sethostname", "setns", "syslog", "umount", "umount2", "unshare",
    ]),
    ("CAP_SYS_BOOT", &["reboot"]),
    ("CAP_SYS_CHROOT", &["chroot"]),
    ("CAP_SYS_MODULE", &["delete_module", "finit_module", "init_module"]),
    ("CAP_SYS_NICE", &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    ("CAP_SYS_PACCT", &["acct"]),
    ("CAP_SYS_PTRACE", &["kcmp", "pidfd_getfd", "process_madvise"]),
    ("CAP_SYS_RAWIO", &["ioperm", "iopl"]),
    ("CAP_SYS_TIME", &["clock_settime", "clock_settime64", "settimeofday", "stime"]),
    ("CAP_SYS_TTY_CONFIG", &["vhangup"]),
];

/// Allowed beside on some machines, by Rust's names for them.
#[rustfmt::skip]
pub(super) const BY_ARCHITECTURE: &[(&[&str], &[&str])] = &[
    (&["powerpc64"], &["swapcontext", "sync_file_range2"]),
    (&["aarch64", "arm"], &[
        "arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush", "set_tls",
        "sync_file_range2",
    ]),
    (&["x86_64"], &["arch_prctl"]),
    (&["x86_64", "x86"], &["modify_ldt"]),
    (&["s390x"], &["s390_pci_mmio_read", "s390_pci_mmio_write", "s390_runtime_instr"]),
    (&["riscv64"], &["riscv_flush_icache"]),
];

/// Whose system calls a machine's kernel takes, its own first.
pub(super) const ARCHITECTURES: &[(&str, &[&str])] = &[
    ("x86_64", &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
    ("aarch64", &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]),
    ("s390x", &["SCMP_ARCH_S390X", "SCMP_ARCH_S390"]),
    ("riscv64", &["SCMP_ARCH_RISCV64"]),
    ("loongarch64", &["SCMP_ARCH_LOONGARCH64"]),
];

/// Execution domains (personality(2)): Linux, Linux of 32 bits, each with the names of Linux 2.6
/// (`UNAME26`), and the question for the present one.
pub(super) const PERSONAS: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Flags of clone(2) that make namespaces: mount, cgroup, uts, ipc, user, pid, net.
pub(super) const NAMESPACE_FLAGS: u64 = 0x7e02_0000;

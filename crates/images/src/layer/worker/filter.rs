//! The system calls that unpacking takes. All others do not exist for the process that does it: it
//! can start no program, open no socket, signal nobody, trace nobody.

use lxcri_linux::seccomp::{self, Argument, Profile, Program, Rule};

/// By use: the archive and the files; what is made; attributes; the other process; memory and threads.
const ALLOWED: &[&[&str]] = &[
    &["read", "pread64", "write", "pwrite64", "lseek", "close", "ftruncate", "getdents64"],
    &["fstat", "newfstatat", "statx", "openat", "openat2", "readlinkat", "fcntl"],
    &["mkdirat", "mknodat", "linkat", "symlinkat", "unlinkat", "renameat2"],
    &["fchown", "fchownat", "fchmod", "fchmodat", "utimensat"],
    &["fsetxattr", "flistxattr", "fremovexattr"],
    &["sendmsg", "recvmsg", "poll", "ppoll"],
    &["mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "futex", "membarrier"],
    &["set_robust_list", "rseq", "sigaltstack", "rt_sigprocmask", "rt_sigaction", "rt_sigreturn"],
    &["gettid", "getpid", "geteuid", "getegid", "getrandom", "clock_gettime", "clock_nanosleep"],
    &["sched_getaffinity", "sched_yield", "restart_syscall", "exit", "exit_group"],
];

/// `CLONE_THREAD` (linux/sched.h).
const CLONE_THREAD: u64 = 0x0001_0000;
/// Naming a thread, and a piece of memory (prctl(2)).
const HARMLESS_PRCTL: [u64; 2] = [15, 0x5356_4d41];

/// What is refused does not exist (ENOSYS): the C library then does without, as it does for clone3,
/// whose flags no filter can see.
pub(super) fn program() -> Result<Program, seccomp::Error> {
    let names = ALLOWED.iter().copied().flatten().map(ToString::to_string).collect();
    let when = |name: &str, value, value_two, op: &str| {
        rule(vec![name.into()], vec![Argument { index: 0, value, value_two, op: op.into() }])
    };
    let mut syscalls = vec![
        rule(names, Vec::new()),
        when("clone", CLONE_THREAD, CLONE_THREAD, "SCMP_CMP_MASKED_EQ"),
    ];
    syscalls.extend(HARMLESS_PRCTL.map(|option| when("prctl", option, 0, "SCMP_CMP_EQ")));
    seccomp::compile(&Profile {
        default_action: "SCMP_ACT_ERRNO".into(),
        default_errno_ret: Some(rustix::io::Errno::NOSYS.raw_os_error().unsigned_abs()),
        syscalls,
        ..Profile::default()
    })
}

fn rule(names: Vec<String>, args: Vec<Argument>) -> Rule {
    Rule { names, action: "SCMP_ACT_ALLOW".into(), args, ..Rule::default() }
}

//! What a child becomes before it executes the user's program: its ids, rights, limits, labels and
//! filters. One implementation for a container's init and for every process that joins later.
//!
//! The order matters: a limit is set while we may still raise it, the ids change while the
//! capabilities that allow it are there, and the system call filter comes as late as the rights to
//! load it last.

mod identity;
mod lookup;

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::capability::Set;
use crate::procfs::Proc;
use crate::rlimit::Resource;
use crate::seccomp::Program;

pub use lookup::LookupError;

/// The five capability sets (capabilities(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of capabilities(7)")]
pub struct CapabilitySets {
    pub bounding: Set,
    pub effective: Set,
    pub inheritable: Set,
    pub permitted: Set,
    pub ambient: Set,
}

/// One process, described in the terms of the kernel.
#[derive(Debug)]
pub struct Payload {
    /// Program (a path, or a name to look up in `$PATH`) and arguments; never empty.
    pub args: Vec<String>,
    /// Environment as `NAME=value`. `HOME` is added from the container's passwd where missing.
    pub env: Vec<String>,
    /// Working directory inside the container; made where it is missing.
    pub cwd: PathBuf,
    /// User id in the container's user namespace.
    pub uid: u32,
    /// Group id in the container's user namespace.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// File mode creation mask, where it is not inherited.
    pub umask: Option<u32>,
    /// Capability sets.
    pub capabilities: CapabilitySets,
    /// Limits: resource, soft, hard.
    pub rlimits: Vec<(Resource, u64, u64)>,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privileges: bool,
    /// `/proc/self/oom_score_adj`.
    pub oom_score_adj: Option<i32>,
    /// AppArmor profile that execve(2) switches to.
    pub apparmor_profile: Option<String>,
    /// personality(2) persona.
    pub personality: Option<u64>,
    /// System call filter.
    pub seccomp: Option<Program>,
    /// Name of the session keyring to join; `None` keeps the caller's.
    pub session_keyring: Option<String>,
    /// Descriptors after 2 that stay open in the program.
    pub preserve_fds: u32,
}

/// A step that failed in the child.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The program cannot be found or executed.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// Anything else; `step` says what was tried.
    #[error("{step}: {source}")]
    Step {
        /// Such as `set user id 7`.
        step: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// A typed error of ours as the cause of a step, with all it has to say.
pub(crate) fn chained(error: impl std::error::Error) -> io::Error {
    io::Error::other(crate::chain(&error))
}

pub(crate) fn step<E: Into<io::Error>>(step: impl Into<String>) -> impl FnOnce(E) -> PayloadError {
    let step = step.into();
    move |source| PayloadError::Step { step, source: source.into() }
}

/// A child that only has to execute its program.
#[derive(Debug)]
pub struct Ready<'p> {
    program: CString,
    argv: Vec<CString>,
    envp: Vec<CString>,
    late_filter: Option<&'p Program>,
    set_no_new_privileges: bool,
}

impl Payload {
    /// Turns this process into the payload, all but the execve(2). Must run in the child, inside
    /// the container's root and namespaces, with the rights of the namespace's root. Without a
    /// `proc` of the caller's, one is made where it is needed: a process that the container can see
    /// must not hold the host's.
    ///
    /// Closes every descriptor but the preserved ones and `keep` before any path of the container
    /// is looked at, because `/proc/self/fd/N/..` would lead through them (CVE-2024-21626). The
    /// caller must not drop what owned them: it ends by [`crate::clone::end`].
    pub fn become_it(
        &self,
        proc: Option<&Proc>,
        keep: &[RawFd],
    ) -> Result<Ready<'_>, PayloadError> {
        crate::syscall::reset_signals().map_err(step("reset signals"))?;
        self.set_process_attributes(proc)?;
        // The log may be a file of the host's, and is closed with the rest.
        log::set_max_level(log::LevelFilter::Off);
        crate::syscall::close_from_except(3 + self.preserve_fds, keep)
            .map_err(step("close descriptors"))?;
        let mut environment = self.env.clone();
        identity::add_home(&mut environment, self.uid);
        // Loading a filter needs CAP_SYS_ADMIN or no_new_privs; without the latter it must happen
        // before the capabilities go (seccomp(2)).
        let late_filter = if self.no_new_privileges { self.seccomp.as_ref() } else { None };
        identity::make_cwd(&self.cwd)?;
        if let (Some(filter), None) = (&self.seccomp, late_filter) {
            filter.load().map_err(step("load the seccomp filter"))?;
        }
        identity::assume(self)?;
        identity::enter_cwd(&self.cwd)?;
        let program = lookup::find(&self.args, &environment)?;
        Ok(Ready {
            program: to_c(program.as_os_str())?,
            argv: self.args.iter().map(|arg| to_c(OsStr::new(arg))).collect::<Result<_, _>>()?,
            envp: environment.iter().map(|e| to_c(OsStr::new(e))).collect::<Result<_, _>>()?,
            late_filter,
            set_no_new_privileges: self.no_new_privileges,
        })
    }

    /// Whether [`Payload::prepare_from_parent`] has anything to do.
    pub fn needs_parent(&self) -> bool {
        self.oom_score_adj.is_some() || !self.rlimits.is_empty()
    }

    /// The parent's part, once the child exists and before it is told to go on: what a child in a
    /// user namespace, or hidden from ptrace(2), is not allowed to do to itself.
    pub fn prepare_from_parent(&self, proc: &Proc, pid: i32) -> Result<(), PayloadError> {
        if let Some(score) = self.oom_score_adj {
            proc.set_oom_score_adj(pid, score)
                .map_err(|error| step("set oom_score_adj")(chained(error)))?;
        }
        for &(resource, soft, hard) in &self.rlimits {
            crate::rlimit::set(pid, resource, soft, hard)
                .map_err(|error| step("set resource limits")(chained(error)))?;
        }
        Ok(())
    }

    fn set_process_attributes(&self, proc: Option<&Proc>) -> Result<(), PayloadError> {
        if let Some(profile) = &self.apparmor_profile {
            let say = |what: &str| step(format!("{what} for AppArmor profile {profile:?}"));
            let own;
            let proc = match proc {
                Some(proc) => proc,
                None => {
                    own = fresh_proc().map_err(say("mount proc"))?;
                    &own
                }
            };
            proc.set_apparmor_exec(profile).map_err(|error| {
                step(format!("set AppArmor profile {profile:?}"))(chained(error))
            })?;
        }
        if let Some(persona) = self.personality {
            crate::syscall::set_personality(persona).map_err(step("set personality"))?;
        }
        if let Some(name) = &self.session_keyring {
            crate::syscall::join_session_keyring(name).map_err(step("join session keyring"))?;
        }
        if let Some(mask) = self.umask {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask & 0o777));
        }
        Ok(())
    }
}

impl Ready<'_> {
    /// The program that will run, as found.
    pub fn program(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.program.to_bytes()))
    }

    /// Executes the program. Returns only on failure.
    pub fn execute(self) -> PayloadError {
        if self.set_no_new_privileges
            && let Err(error) = rustix::thread::set_no_new_privs(true)
        {
            return step("set no_new_privs")(error);
        }
        if let Some(filter) = self.late_filter
            && let Err(error) = filter.load()
        {
            return step("load the seccomp filter")(error);
        }
        let source = crate::syscall::exec_path(&self.program, &self.argv, &self.envp);
        LookupError::Execute { program: self.program().to_owned(), source }.into()
    }
}

/// A procfs of our pid namespace that is mounted nowhere.
fn fresh_proc() -> io::Result<Proc> {
    let options = crate::mount::Options::default();
    let mount = crate::mount::new_filesystem("proc", None, &options).map_err(io::Error::other)?;
    Proc::from_root(mount, "a new proc").map_err(chained)
}

fn to_c(text: &OsStr) -> Result<CString, PayloadError> {
    CString::new(text.as_bytes())
        .map_err(|_| step(format!("pass {text:?}"))(io::Error::other("it contains a NUL byte")))
}

/// Gives standard input, output and error to the container's user, so that a program that is not
/// root can reopen `/dev/stdout`. What cannot be given (pipes of others, read-only files) is left.
pub fn own_stdio(uid: u32) -> io::Result<()> {
    let streams: [BorrowedFd<'_>; 3] =
        [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let null = rustix::fs::makedev(1, 3);
    for stream in streams {
        let stat = match rustix::fs::fstat(stream.as_fd()) {
            Err(rustix::io::Errno::BADF) => continue,
            other => other?,
        };
        if stat.st_uid == uid || stat.st_rdev == null {
            continue;
        }
        use rustix::io::Errno;
        match rustix::fs::fchown(stream, Some(rustix::fs::Uid::from_raw(uid)), None) {
            Err(Errno::PERM | Errno::INVAL | Errno::ROFS | Errno::NOSYS) | Ok(()) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

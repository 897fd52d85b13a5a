//! The signals of a foreground `run`, read from a descriptor (signalfd(2)).
#![allow(unsafe_code)]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use super::Signal;

/// Not taken over. The first two nobody can. Then those that the kernel raises for what this very
/// program did: blocking them would hide a bug or kill us anyway. TTIN and TTOU concern our own use
/// of the terminal, PIPE our own writes. 32 and 33 belong to libc.
const LEFT_ALONE: [i32; 14] = [
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGSYS,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGPIPE,
    32,
    33,
];

/// A set of blocked signals, such as a process had at its start.
#[derive(Clone, Copy)]
pub struct Mask(libc::sigset_t);

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries((1..=libc::SIGRTMAX()).filter(|signal| self.blocks(*signal))).finish()
    }
}

/// The signals that wait for this thread or process.
pub(super) fn pending() -> io::Result<Mask> {
    let mut set = Mask::empty();
    // SAFETY: the set is initialised and written to while it lives.
    match unsafe { libc::sigpending(&raw mut set.0) } {
        0 => Ok(set),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Mask {
    /// The set of the calling thread.
    ///
    /// # Errors
    /// The kernel's.
    pub fn current() -> io::Result<Self> {
        let mut mask = Self::empty();
        // SAFETY: a null set changes nothing; the old one is written into `mask`.
        check(unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &raw mut mask.0) })?;
        Ok(mask)
    }

    /// Blocks exactly this set in the calling thread. Makes no allocation, so that a child may call
    /// it between fork and exec: what is blocked there stays so in the container.
    ///
    /// # Errors
    /// The kernel's.
    pub fn apply(&self) -> io::Result<()> {
        // SAFETY: reads an initialised set and wants no old one.
        check(unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut())
        })
    }

    /// Whether the set has the signal of that number.
    #[must_use]
    pub fn blocks(&self, number: i32) -> bool {
        // SAFETY: reads an initialised set; a number out of range is answered with -1.
        unsafe { libc::sigismember(&raw const self.0, number) == 1 }
    }

    fn empty() -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset initialises the set and cannot fail on a valid pointer.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            Self(set.assume_init())
        }
    }

    fn add(&mut self, number: i32) {
        // SAFETY: changes an initialised set; a number out of range is refused without effect.
        unsafe { libc::sigaddset(&raw mut self.0, number) };
    }
}

/// What a signal means to a foreground `run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Children changed (SIGCHLD). One event can stand for many: reap until there is none.
    Children,
    /// The user's terminal has another size (SIGWINCH).
    WindowSize,
    /// To be handed to the container's process.
    Forward(Signal),
}

/// The calling thread's signals, blocked and readable. Blocked signals wait for the reader, so none
/// is lost between two reads. Dropping it brings the former mask back.
///
/// Signals are blocked per thread: make this before other threads start, and drop it where it was
/// made.
#[derive(Debug)]
pub struct ForwardedSignals {
    fd: OwnedFd,
    before: Mask,
}

impl ForwardedSignals {
    /// Blocks every signal that can be forwarded, SIGCHLD and SIGWINCH, and opens the descriptor
    /// (close-on-exec, non-blocking).
    ///
    /// # Errors
    /// The kernel's, with the mask as it was.
    pub fn new() -> io::Result<Self> {
        let mut wanted = Mask::empty();
        for number in (1..=libc::SIGRTMAX()).filter(|number| !LEFT_ALONE.contains(number)) {
            wanted.add(number);
        }
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: reads an initialised set; -1 asks for a new descriptor.
        let raw = unsafe { libc::signalfd(-1, &raw const wanted.0, flags) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: signalfd just made this descriptor and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        let mut before = Mask::empty();
        // SAFETY: reads one initialised set and writes the old one into another.
        check(unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const wanted.0, &raw mut before.0)
        })?;
        Ok(Self { fd, before })
    }

    /// The next event, `None` when nothing waits (poll for reading first).
    ///
    /// # Errors
    /// The kernel's.
    pub fn read(&self) -> io::Result<Option<Event>> {
        let mut bytes = [0; size_of::<libc::signalfd_siginfo>()];
        let length = match rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut bytes)) {
            Ok(length) => length,
            Err(rustix::io::Errno::AGAIN) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        // The number is the first field, four bytes wide.
        let number = match bytes.first_chunk::<4>() {
            Some(first) if length == bytes.len() => u32::from_ne_bytes(*first),
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        };
        let signal = i32::try_from(number).ok().and_then(Signal::from_number);
        let signal = signal.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Some(match signal.number() {
            libc::SIGCHLD => Event::Children,
            libc::SIGWINCH => Event::WindowSize,
            _ => Event::Forward(signal),
        }))
    }

    /// The mask from before: a child [applies](Mask::apply) it before it executes anything.
    #[must_use]
    pub fn mask_before(&self) -> Mask {
        self.before
    }
}

impl AsFd for ForwardedSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for ForwardedSignals {
    fn drop(&mut self) {
        if let Err(error) = self.before.apply() {
            log::warn!("the signal mask could not be restored: {error}");
        }
    }
}

/// pthread functions return the errno.
fn check(errno: libc::c_int) -> io::Result<()> {
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;
    use crate::forked_child;

    fn raise(number: i32) {
        // SAFETY: sends a blocked signal to this process.
        assert_eq!(unsafe { libc::kill(libc::getpid(), number) }, 0);
    }

    /// A child, because signals of the test process may reach any of its threads.
    #[test]
    fn signals_become_events() {
        let outcome = forked_child::run(|| {
            let signals = ForwardedSignals::new().unwrap();
            assert_eq!(signals.read().unwrap(), None);
            let forwarded = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGTSTP, 34, 64];
            for number in forwarded {
                raise(number);
                let mut fds = [PollFd::new(&signals, PollFlags::IN)];
                assert_eq!(poll(&mut fds, None).unwrap(), 1);
                let wanted = Event::Forward(Signal::from_number(number).unwrap());
                assert_eq!(signals.read().unwrap(), Some(wanted));
            }
            raise(libc::SIGCHLD);
            raise(libc::SIGCHLD);
            assert_eq!(signals.read().unwrap(), Some(Event::Children));
            raise(libc::SIGWINCH);
            assert_eq!(signals.read().unwrap(), Some(Event::WindowSize));
            assert_eq!(signals.read().unwrap(), None, "two of a kind are one");
            b"done".to_vec()
        });
        assert_eq!(outcome.output, b"done");
    }

    #[test]
    fn the_mask_comes_back() {
        let outcome = forked_child::run(|| {
            let mut mask = Mask::empty();
            mask.add(libc::SIGUSR1);
            mask.apply().unwrap();
            let signals = ForwardedSignals::new().unwrap();
            let during = Mask::current().unwrap();
            assert!(during.blocks(libc::SIGTERM) && during.blocks(libc::SIGCHLD));
            for number in LEFT_ALONE {
                assert!(!during.blocks(number), "{number}");
            }
            let text = |mask: Mask| format!("{mask:?}");
            assert_eq!(text(signals.mask_before()), "{10}");

            // What a child of `run` does before it executes the container's program.
            let child = forked_child::run(|| {
                signals.mask_before().apply().unwrap();
                format!("{:?}", Mask::current().unwrap()).into_bytes()
            });
            assert_eq!(child.output, b"{10}");
            drop(signals);
            assert_eq!(text(Mask::current().unwrap()), "{10}");
            b"done".to_vec()
        });
        assert_eq!(outcome.output, b"done");
    }
}

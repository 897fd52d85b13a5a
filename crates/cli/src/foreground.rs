//! A process of a container in the foreground: signals go to it, its exit code becomes ours.

use std::os::fd::AsFd;
use std::process::ExitCode;

use lxcri_linux::process::{Ended, PidFd, become_subreaper};
use lxcri_linux::signal::{Event, ForwardedSignals};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{WaitOptions, WaitStatus, wait};

use crate::failure::Failure;
use crate::terminal::Relay;

/// Ready to stay in the foreground. Made before the process is, so that no signal is lost; signals
/// that come early wait, also over a re-execution of this program.
#[derive(Debug)]
pub(crate) struct Foreground {
    signals: ForwardedSignals,
}

/// The process to wait for.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its pid.
    pub(crate) pid: i32,
    /// The same by descriptor; `None` where it has ended already and only waits for its parent.
    pub(crate) fd: Option<PidFd>,
}

impl Foreground {
    /// Takes the signals over. With `subreaper` orphans below us become our children: the process
    /// may have been made by a program that has ended since.
    pub(crate) fn new(subreaper: bool) -> Result<Self, Failure> {
        if subreaper {
            become_subreaper().map_err(Failure::of("become the reaper of orphans"))?;
        }
        let signals = ForwardedSignals::new().map_err(Failure::of("take signals over"))?;
        Ok(Self { signals })
    }

    /// Waits until the process has ended, with a terminal's `relay` where it has one.
    pub(crate) fn wait(
        &self,
        target: &Target,
        mut relay: Option<Relay<'_>>,
    ) -> Result<ExitCode, Failure> {
        let mut gone = target.fd.is_none();
        loop {
            if let Some(ended) = reap(target.pid)? {
                if let Some(relay) = relay {
                    relay.drain()?;
                }
                log::debug!("pid {} has ended: {ended}", target.pid);
                return Ok(ExitCode::from(u8::try_from(ended.code()).unwrap_or(u8::MAX)));
            }
            if gone {
                return Err(Failure::new(format!(
                    "pid {} has ended and its exit code is unknown: it was not our child",
                    target.pid
                ))
                .hint("without --no-subreaper it would be"));
            }
            gone = self.serve(target, relay.as_mut())?;
        }
    }

    /// Waits for something to happen and sees to it. True where the process has ended.
    fn serve(&self, target: &Target, mut relay: Option<&mut Relay<'_>>) -> Result<bool, Failure> {
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        fds.extend(target.fd.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let own = fds.len();
        let mut sides = Vec::new();
        if let Some(relay) = relay.as_deref() {
            for (side, fd, flags) in relay.interests() {
                sides.push(side);
                fds.push(PollFd::from_borrowed_fd(fd, flags));
            }
        }
        match poll(&mut fds, None) {
            Err(Errno::INTR) => return Ok(false),
            other => other.map_err(Failure::of("wait for the container"))?,
        };
        let events: Vec<_> = fds.iter().map(PollFd::revents).collect();
        drop(fds);
        if let Some(relay) = relay.as_deref_mut() {
            for (side, flags) in sides.into_iter().zip(&events[own..]) {
                relay.serve(side, *flags)?;
            }
        }
        if !events[0].is_empty() {
            self.forward(target, relay.as_deref())?;
        }
        Ok(own > 1 && !events[1].is_empty())
    }

    /// Hands on every signal that has come.
    fn forward(&self, target: &Target, relay: Option<&Relay<'_>>) -> Result<(), Failure> {
        while let Some(event) = self.signals.read().map_err(Failure::of("read signals"))? {
            match (event, &target.fd) {
                (Event::Children, _) => {}
                (Event::WindowSize, fd) => match (relay, fd) {
                    (Some(relay), _) => relay.resize(),
                    (None, fd) => send(fd.as_ref(), WINDOW_SIZE),
                },
                (Event::Forward(signal), fd) => send(fd.as_ref(), signal.number()),
            }
        }
        Ok(())
    }
}

/// SIGWINCH (signal(7)): without a terminal between us and the container it is the container's.
const WINDOW_SIZE: i32 = 28;

/// Sends a signal. That it does not arrive is no reason to leave the container alone.
fn send(fd: Option<&PidFd>, number: i32) {
    if let Some(fd) = fd
        && let Err(error) = fd.signal(number)
    {
        log::warn!("signal {number} could not be handed on: {error}");
    }
}

/// Reaps every child that has ended: orphans of the container are ours, too. Gives how `pid` did.
fn reap(pid: i32) -> Result<Option<Ended>, Failure> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((child, status))) if child.as_raw_nonzero().get() == pid => {
                return Ok(Some(ended(status)));
            }
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(Errno::CHILD) => return Ok(None),
            Err(errno) => return Err(Failure::of("wait for the container")(errno)),
        }
    }
}

/// wait(2) without WUNTRACED reports only these two.
fn ended(status: WaitStatus) -> Ended {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ended::Exited(code),
        (None, signal) => Ended::Killed(signal.unwrap_or_default()),
    }
}

/// A descriptor for poll(2).
pub(crate) fn ready(fd: impl AsFd, flags: PollFlags, milliseconds: i64) -> Result<bool, Failure> {
    let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: milliseconds * 1_000_000 };
    let mut fds = [PollFd::new(&fd, flags)];
    match poll(&mut fds, Some(&timeout)) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(Failure::of("wait for the terminal")(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orphans_are_reaped_and_ours_is_known() {
        // Children of the test process; nobody else in it waits for any.
        let mut other = std::process::Command::new("true").spawn().unwrap();
        let mut ours = std::process::Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let pid = i32::try_from(ours.id()).unwrap();
        let found = (0..500).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            reap(pid).unwrap()
        });
        assert_eq!(found, Some(Ended::Exited(7)));
        assert_eq!(reap(pid).unwrap(), None);
        // Reaped behind their backs; said so that nothing looks forgotten.
        assert!(ours.wait().is_err() && other.wait().is_err());
    }
}

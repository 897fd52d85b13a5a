//! Signalling every process of a cgroup.
#![allow(unsafe_code)]

use std::time::Duration;

use rustix::io::Errno;

use super::directory::{Directory, failed};
use super::error::{Error, Result};
use super::{Cgroup, Step};
use crate::step::Step as _;

/// How long to try freezing before signalling. Without a freeze it still works, by going over the
/// list until nobody new appears.
const FREEZE_PATIENCE: Duration = Duration::from_millis(500);
/// How many times the list is gone over while new processes appear.
const ROUNDS: usize = 100;

impl Cgroup {
    /// Sends `signal` to every process of the cgroup and of those below it, so that no process can
    /// escape by forking. SIGKILL also ends frozen processes (on v1 by thawing them); any other
    /// signal leaves a frozen cgroup frozen and is delivered when it thaws. A cgroup that does not
    /// exist has no processes.
    ///
    /// # Errors
    /// When the signal is not one, or a process cannot be signalled.
    pub fn kill_all(&self, signal: i32) -> Result<()> {
        if !(1..=libc::SIGRTMAX()).contains(&signal) {
            return Err(Error::Invalid {
                field: "signal".into(),
                value: signal.to_string(),
                reason: "is not a signal",
            });
        }
        if signal != libc::SIGKILL {
            return self.signal_all(signal);
        }
        if !self.kill_by_file()? {
            return self.signal_all(signal);
        }
        // A process in a frozen v1 cgroup dies only once it is thawed. The v2 freezer lets it die.
        if self.controller("freezer").is_some() { self.thaw_if_present() } else { Ok(()) }
    }

    /// Kills by one write (kernel: cgroup-v2.rst "cgroup.kill", since 5.14). False where the file
    /// is missing.
    fn kill_by_file(&self) -> Result<bool> {
        let Some(place) = &self.v2 else {
            return Ok(false);
        };
        let Some(directory) = Directory::open_if_present(&place.directory())? else {
            return Ok(true);
        };
        match directory.try_write("cgroup.kill", "1") {
            Ok(()) | Err(Errno::NODEV) => Ok(true),
            // OPNOTSUPP: a threaded cgroup.
            Err(Errno::NOENT | Errno::OPNOTSUPP) => Ok(false),
            Err(e) => Err(directory.write_failed("cgroup.kill", "1", e)),
        }
    }

    fn signal_all(&self, signal: i32) -> Result<()> {
        let was_frozen = self.frozen_or_no_freezer()?;
        let frozen = was_frozen || self.freeze_for_signals();
        Step::KillFrozen.reached();
        let result = if frozen { self.signal_once(signal) } else { self.signal_moving(signal) };
        Step::KillSignalled.reached();
        if frozen && (!was_frozen || signal == libc::SIGKILL) {
            return result.and(self.thaw_if_present());
        }
        result
    }

    fn frozen_or_no_freezer(&self) -> Result<bool> {
        match self.frozen() {
            Err(Error::NotOffered { .. }) => Ok(false),
            other => other,
        }
    }

    fn freeze_for_signals(&self) -> bool {
        match self.freeze_within(FREEZE_PATIENCE) {
            Ok(()) => true,
            Err(e) => {
                log::debug!("signalling without freezing first: {e}");
                false
            }
        }
    }

    fn thaw_if_present(&self) -> Result<()> {
        match self.thaw() {
            Err(e) if e.errno() == Some(Errno::NOENT.raw_os_error()) => Ok(()),
            Err(e) if e.errno() == Some(Errno::NODEV.raw_os_error()) => Ok(()),
            other => other,
        }
    }

    fn signal_once(&self, signal: i32) -> Result<()> {
        self.pids()?.into_iter().try_for_each(|pid| self.signal_process(pid, signal))
    }

    /// Without a freeze: until everybody on the list has had the signal.
    fn signal_moving(&self, signal: i32) -> Result<()> {
        let mut signalled = Vec::new();
        for _ in 0..ROUNDS {
            let mut new = self.pids()?;
            new.retain(|pid| !signalled.contains(pid));
            if new.is_empty() {
                return Ok(());
            }
            for pid in new {
                self.signal_process(pid, signal)?;
                signalled.push(pid);
            }
        }
        Err(Error::KillUnsettled { path: self.path() })
    }

    fn signal_process(&self, pid: i32, signal: i32) -> Result<()> {
        // SAFETY: kill(2) takes two integers and touches no memory of ours.
        if unsafe { libc::kill(pid, signal) } == 0 {
            return Ok(());
        }
        match std::io::Error::last_os_error().raw_os_error().map(Errno::from_raw_os_error) {
            // It exited meanwhile.
            Some(Errno::SRCH) | None => Ok(()),
            Some(e) => Err(failed(format!("signal process {pid} of"), &self.path(), e)),
        }
    }
}

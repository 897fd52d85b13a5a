//! Stopping all processes of a cgroup at once, and letting them go on.
//!
//! v2: kernel cgroup-v2.rst "cgroup.freeze". v1: kernel cgroup-v1/freezer-subsystem.rst. On a
//! hybrid machine the v1 freezer is used where it is mounted, because that is where other programs
//! look.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::directory::{Directory, failed};
use super::error::{Error, Result};
use super::{Cgroup, Step};
use crate::step::Step as _;

/// How long [`Cgroup::freeze`] and [`Cgroup::thaw`] wait. A process that waits for a disk or a
/// network file system cannot be frozen until that answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// The freezer of one cgroup.
enum Freezer {
    V1(Directory),
    V2(Directory),
}

impl Cgroup {
    /// Freezes every process of the cgroup and returns when all are frozen.
    ///
    /// # Errors
    /// [`Error::FreezeTimeout`] after ten seconds, with the cgroup thawed again.
    pub fn freeze(&self) -> Result<()> {
        self.freeze_within(PATIENCE)
    }

    pub(super) fn freeze_within(&self, patience: Duration) -> Result<()> {
        let freezer = self.freezer()?;
        let result = freezer.freeze(patience);
        if result.is_err() {
            // A cgroup that is left half frozen hangs with nobody knowing why.
            freezer.request(false)?;
        }
        result
    }

    /// Lets the processes go on and returns when they do.
    ///
    /// # Errors
    /// [`Error::ThawTimeout`] after ten seconds; a frozen parent can be the reason.
    pub fn thaw(&self) -> Result<()> {
        self.freezer()?.thaw(PATIENCE)
    }

    /// Whether the cgroup is frozen by its own setting, not by a parent's. A cgroup that does not
    /// exist is not.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn frozen(&self) -> Result<bool> {
        match self.freezer().and_then(|freezer| freezer.is_frozen()) {
            // Gone, or going while it is read: systemd removes a scope with its last process.
            Err(e) if e.errno() == Some(Errno::NOENT.raw_os_error()) => Ok(false),
            Err(e) if e.errno() == Some(Errno::NODEV.raw_os_error()) => Ok(false),
            result => result,
        }
    }

    fn freezer(&self) -> Result<Freezer> {
        if let Some(directory) = self.open_controller("freezer")? {
            return Ok(Freezer::V1(directory));
        }
        match &self.v2 {
            Some(place) => Directory::open(&place.directory()).map(Freezer::V2),
            None => Err(Error::NotOffered {
                what: "freezing",
                reason: "the cgroup controller `freezer` is not mounted",
            }),
        }
    }
}

impl Freezer {
    fn request(&self, frozen: bool) -> Result<()> {
        match self {
            Self::V1(directory) => {
                directory.write("freezer.state", if frozen { "FROZEN" } else { "THAWED" })
            }
            Self::V2(directory) => directory.write("cgroup.freeze", if frozen { "1" } else { "0" }),
        }
    }

    fn is_frozen(&self) -> Result<bool> {
        match self {
            Self::V1(directory) => Ok(directory.read("freezer.self_freezing")?.trim() == "1"
                && v1_state(directory)? == "FROZEN"),
            Self::V2(directory) => Ok(directory.read("cgroup.freeze")?.trim() == "1"
                && reports_frozen(&directory.read("cgroup.events")?)),
        }
    }

    fn freeze(&self, patience: Duration) -> Result<()> {
        let settled = match self {
            Self::V1(directory) => freeze_v1(directory, patience)?,
            Self::V2(directory) => {
                self.request(true)?;
                Step::PauseAsked.reached();
                wait_for_events(directory, true, patience)?
            }
        };
        let millis = patience.as_millis();
        if settled { Ok(()) } else { Err(Error::FreezeTimeout { path: self.path(), millis }) }
    }

    fn thaw(&self, patience: Duration) -> Result<()> {
        self.request(false)?;
        Step::ResumeAsked.reached();
        let settled = match self {
            Self::V1(directory) => wait_thawed_v1(directory, patience)?,
            Self::V2(directory) => wait_for_events(directory, false, patience)?,
        };
        let millis = patience.as_millis();
        if settled { Ok(()) } else { Err(Error::ThawTimeout { path: self.path(), millis }) }
    }

    fn path(&self) -> std::path::PathBuf {
        let (Self::V1(directory) | Self::V2(directory)) = self;
        directory.path().to_owned()
    }
}

fn v1_state(directory: &Directory) -> Result<String> {
    directory.read("freezer.state").map(|state| state.trim().to_owned())
}

/// Writes FROZEN until it is so. The kernel of v1 does not freeze processes that appear while it is
/// at it, so the state can stay FREEZING: asking again collects them, and thawing for a moment lets
/// a fork finish that waits for a frozen relative (the cure that runc found).
fn freeze_v1(directory: &Directory, patience: Duration) -> Result<bool> {
    let started = Instant::now();
    let mut pause = Duration::from_micros(50);
    for round in 1_u32.. {
        directory.write("freezer.state", "FROZEN")?;
        Step::PauseAsked.reached();
        match v1_state(directory)?.as_str() {
            "FROZEN" => return Ok(true),
            "FREEZING" => {}
            other => {
                let path = directory.path().join("freezer.state");
                return Err(Error::Content { path, content: other.to_owned() });
            }
        }
        if started.elapsed() >= patience {
            break;
        }
        if round.is_multiple_of(50) {
            directory.write("freezer.state", "THAWED")?;
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
    Ok(false)
}

fn wait_thawed_v1(directory: &Directory, patience: Duration) -> Result<bool> {
    let started = Instant::now();
    let mut pause = Duration::from_micros(50);
    while v1_state(directory)? != "THAWED" {
        if started.elapsed() >= patience {
            return Ok(false);
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
    Ok(true)
}

/// Waits until `cgroup.events` says `frozen` 1 or 0. The kernel wakes pollers of the file at each
/// change (kernel: cgroup-v2.rst "cgroup.events").
fn wait_for_events(directory: &Directory, frozen: bool, patience: Duration) -> Result<bool> {
    let path = directory.path().join("cgroup.events");
    let io = |action: &'static str| {
        let path = path.clone();
        move |e| failed(action, &path, e)
    };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let fd =
        rustix::fs::openat(directory, "cgroup.events", flags, Mode::empty()).map_err(io("open"))?;
    let started = Instant::now();
    let mut buffer = [0_u8; 256];
    loop {
        let count = rustix::io::retry_on_intr(|| rustix::io::pread(&fd, &mut buffer, 0))
            .map_err(io("read"))?;
        if reports_frozen(&String::from_utf8_lossy(&buffer[..count])) == frozen {
            return Ok(true);
        }
        let Some(left) = patience.checked_sub(started.elapsed()) else {
            return Ok(false);
        };
        // Bounded, so that a missed wake-up costs little.
        let left = left.min(Duration::from_millis(100));
        let left = Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::new(&fd, PollFlags::PRI)], Some(&left)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(failed("wait for", &path, e)),
        }
    }
}

fn reports_frozen(events: &str) -> bool {
    events.lines().any(|line| line == "frozen 1")
}

#[cfg(test)]
mod tests {
    use super::reports_frozen;

    #[test]
    fn events() {
        assert!(reports_frozen("populated 1\nfrozen 1\n"));
        assert!(!reports_frozen("populated 1\nfrozen 0\n"));
        assert!(!reports_frozen("frozen 11\n"));
        assert!(!reports_frozen(""));
    }
}

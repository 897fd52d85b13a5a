//! Who is in a cgroup, and putting processes into it.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::directory::{Directory, failed, read_file, write_once};
use super::error::{Error, Result};
use super::tree::{Visitor, walk};
use super::{Cgroup, Place};

const PROCS: &str = "cgroup.procs";
/// When to stop trying to move a process that cannot be moved yet: after 63 ms altogether.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

impl Cgroup {
    /// Moves a process into the cgroup of every hierarchy.
    ///
    /// # Errors
    /// When the process or a directory is gone, or the kernel refuses the move.
    pub fn add(&self, pid: i32) -> Result<()> {
        self.add_v1(pid)?;
        self.v2.as_ref().map_or(Ok(()), |place| join(place, pid))
    }

    /// As [`Self::add`] for the v1 hierarchies only: what is left to do for a process that was
    /// cloned into the v2 directory.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_v1(&self, pid: i32) -> Result<()> {
        self.v1.iter().try_for_each(|place| join(place, pid))
    }

    /// Opens the v2 (or hybrid's unified) directory for `CLONE_INTO_CGROUP`; `None` on pure v1.
    ///
    /// # Errors
    /// When the directory cannot be opened.
    pub fn dir_fd(&self) -> Result<Option<OwnedFd>> {
        let Some(place) = &self.v2 else {
            return Ok(None);
        };
        Directory::open(&place.directory()).map(|d| Some(d.into_fd()))
    }

    /// All processes of the cgroup and of those below it, as ids in our own pid namespace. A cgroup
    /// that does not exist has none. Processes that our pid namespace does not show are left out.
    ///
    /// # Errors
    /// When a list cannot be read or understood.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let Some(place) = self.tracking() else {
            return Ok(Vec::new());
        };
        match Directory::open_if_present(&place.directory())? {
            Some(directory) => processes_below(&directory),
            None => Ok(Vec::new()),
        }
    }
}

fn join(place: &Place, pid: i32) -> Result<()> {
    let path = place.directory().join(PROCS);
    let fd = rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| failed("open", &path, e))?;
    let pid = pid.to_string();
    let mut pause = Duration::from_millis(1);
    loop {
        match write_once(&fd, pid.as_bytes()) {
            Ok(_) => return Ok(()),
            // A task that is still being forked cannot be moved yet (kernel: TASK_NEW).
            Err(Errno::INVAL) if pause < LONGEST_PAUSE => sleep(pause),
            Err(e) => return Err(failed(format!("move process {pid} by"), &path, e)),
        }
        pause *= 2;
    }
}

/// All processes in `directory` and below.
pub(super) fn processes_below(directory: &Directory) -> Result<Vec<i32>> {
    let mut collect = Collect { pids: Vec::new(), odd: None };
    walk(directory.as_fd(), &mut collect)
        .map_err(|e| failed("list the processes of", directory.path(), e))?;
    match collect.odd {
        Some(content) => Err(Error::Content { path: directory.path().join(PROCS), content }),
        None => Ok(collect.pids),
    }
}

struct Collect {
    pids: Vec<i32>,
    odd: Option<String>,
}

impl Visitor for Collect {
    fn enter(&mut self, directory: BorrowedFd<'_>) -> std::result::Result<(), Errno> {
        let text = match read_file(directory, PROCS) {
            // OPNOTSUPP: a threaded cgroup; its processes are listed by the one above it.
            Err(Errno::OPNOTSUPP | Errno::NODEV | Errno::NOENT) => return Ok(()),
            other => other?,
        };
        match parse_pids(&text) {
            Ok(pids) => self.pids.extend(pids),
            Err(word) => self.odd = Some(word.to_owned()),
        }
        Ok(())
    }

    fn leave(&mut self, _: BorrowedFd<'_>, _: &CStr) -> std::result::Result<(), Errno> {
        Ok(())
    }
}

/// The process ids of a `cgroup.procs` file. 0 stands for a process of another pid namespace.
fn parse_pids(text: &str) -> std::result::Result<Vec<i32>, &str> {
    let mut pids = Vec::new();
    for word in text.split_ascii_whitespace() {
        match word.parse::<i32>() {
            Ok(0) => {}
            Ok(pid) if pid > 0 => pids.push(pid),
            _ => return Err(word),
        }
    }
    Ok(pids)
}

#[cfg(test)]
mod tests {
    use super::parse_pids;

    #[test]
    fn pid_lists() {
        assert_eq!(parse_pids(""), Ok(vec![]));
        assert_eq!(parse_pids("1\n0\n77\n"), Ok(vec![1, 77]));
        // A negative number given to kill(2) would mean a process group, or everybody.
        for text in ["-1\n", "1\nx\n", "99999999999\n", "1.5"] {
            assert!(parse_pids(text).is_err(), "{text:?} was accepted");
        }
    }
}

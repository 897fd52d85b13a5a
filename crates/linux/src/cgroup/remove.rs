//! Removing a cgroup with everything the container made below it.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::directory::{Directory, failed};
use super::error::{Error, Result};
use super::processes::processes_below;
use super::tree::{Visitor, walk};
use super::{Cgroup, Place, Step};
use crate::step::Step as _;

/// How long a busy directory is waited for: killed processes leave their cgroup only when they have
/// really exited.
const PATIENCE: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_micros(500);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

impl Cgroup {
    /// Removes the container's directory, with those below it, from every hierarchy; parents stay.
    /// What is missing already is fine.
    ///
    /// # Errors
    /// The first failure, after every hierarchy was tried; [`Error::Busy`] when processes are still
    /// in it after about a second.
    pub fn remove(&self) -> Result<()> {
        // v2 first: waiting there for exiting processes is enough for all.
        let places = self.v2.iter().chain(&self.v1).map(Place::directory);
        let mut result = Ok(());
        for path in places {
            let removed = remove_directory(&path);
            result = result.and(removed);
            Step::DeleteBegun.reached();
        }
        result
    }
}

/// Removes one directory and what is below it, waiting for processes that are about to exit.
pub(super) fn remove_directory(path: &Path) -> Result<()> {
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match rustix::fs::rmdir(path) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY | Errno::NOTEMPTY) => {}
            Err(e) => return Err(failed("remove", path, e)),
        }
        if remove_below(path)? {
            continue;
        }
        if started.elapsed() >= PATIENCE {
            return Err(Error::Busy { path: path.to_owned(), state: who_is_in(path)? });
        }
        sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Removes the cgroups below `path`; whether there was one and all could be removed.
fn remove_below(path: &Path) -> Result<bool> {
    let Some(directory) = Directory::open_if_present(path)? else {
        return Ok(false);
    };
    let mut remover = Remover { removed: 0, busy: 0 };
    walk(directory.as_fd(), &mut remover).map_err(|e| failed("remove what is below", path, e))?;
    Ok(remover.removed > 0 && remover.busy == 0)
}

fn who_is_in(path: &Path) -> Result<String> {
    let Some(directory) = Directory::open_if_present(path)? else {
        return Ok("nothing".into());
    };
    let pids = processes_below(&directory)?;
    Ok(match pids.len() {
        0 => "no process that can be seen".to_owned(),
        1 => format!("process {}", pids[0]),
        n => format!("{n} processes, the first is {}", pids[0]),
    })
}

struct Remover {
    removed: usize,
    busy: usize,
}

impl Visitor for Remover {
    fn enter(&mut self, _: BorrowedFd<'_>) -> std::result::Result<(), Errno> {
        Ok(())
    }

    fn leave(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> std::result::Result<(), Errno> {
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => self.removed += 1,
            Err(Errno::BUSY | Errno::NOTEMPTY) => self.busy += 1,
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

//! Making the directories of a cgroup, and taking back what was made when something fails.

use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;

use super::controllers::{Need, hand_down};
use super::directory::{Directory, failed};
use super::error::{Error, Result};
use super::processes::processes_below;
use super::remove::remove_directory;
use super::resources::Resources;
use super::{Cgroup, Place, Step};
use crate::step::Step as _;

/// The directories that one [`Cgroup::create`] really made, parents before children. A directory
/// that existed before is not among them and survives [`Created::undo`].
#[derive(Debug, Default)]
#[must_use = "undo needs to know which directories were made"]
pub struct Created {
    leaves: Vec<PathBuf>,
    parents: Vec<PathBuf>,
}

impl Created {
    /// The container's own directories that were made.
    #[must_use]
    pub fn directories(&self) -> &[PathBuf] {
        &self.leaves
    }

    /// Removes what was made. A parent that somebody else has begun to use meanwhile stays.
    ///
    /// # Errors
    /// The first failure, after everything else was tried.
    pub fn undo(self) -> Result<()> {
        let mut result = Ok(());
        for leaf in self.leaves.iter().rev() {
            result = result.and(remove_directory(leaf));
        }
        for parent in self.parents.iter().rev() {
            match rustix::fs::rmdir(parent) {
                Ok(()) | Err(Errno::NOENT | Errno::BUSY | Errno::NOTEMPTY) => {}
                Err(e) => result = result.and(Err(failed("remove", parent, e))),
            }
        }
        result
    }
}

impl Cgroup {
    /// Makes the directories in all hierarchies and makes the controllers available that
    /// `resources` needs. Sets no limit: that is [`Cgroup::apply`].
    ///
    /// # Errors
    /// When a limit's controller is missing, a directory exists that holds processes or is frozen,
    /// or a system call fails. Nothing is left behind then.
    pub fn create(&self, resources: &Resources) -> Result<Created> {
        let needs = self.check_needs(resources)?;
        let mut created = Created::default();
        match self.make_all(&needs, &mut created) {
            Ok(()) => Ok(created),
            Err(e) => {
                if let Err(undo) = created.undo() {
                    log::warn!("after a failed creation: {undo}");
                }
                Err(e)
            }
        }
    }

    /// Refuses a cgroup that exists with processes in it, or frozen.
    ///
    /// # Errors
    /// [`Error::InUse`]; also when it cannot be looked at.
    pub fn refuse_if_used(&self) -> Result<()> {
        let mut existing = self.directories().into_iter().filter(|path| path.exists());
        existing.try_for_each(|path| refuse_if_used(&path))
    }

    fn make_all(&self, needs: &[Need], created: &mut Created) -> Result<()> {
        for place in &self.v1 {
            make(place, created)?;
            if place.controllers.iter().any(|c| c == "cpuset") {
                let path = place.directory();
                inherit_cpuset(&place.mount, &path, created.leaves.last() == Some(&path))?;
            }
        }
        if let Some(place) = &self.v2 {
            make(place, created)?;
            if self.v1.is_empty() || !needs.is_empty() {
                hand_down(place, &Directory::open(&place.directory())?, needs)?;
            }
        }
        Ok(())
    }
}

fn make(place: &Place, created: &mut Created) -> Result<()> {
    let path = place.directory();
    let mut result = make_directory(&path);
    if result == Err(Errno::NOENT) {
        make_parents(place, created)?;
        result = make_directory(&path);
    }
    match result {
        Ok(()) => {
            created.leaves.push(path);
            Step::CreateBegun.reached();
            Ok(())
        }
        Err(Errno::EXIST) => refuse_if_used(&path),
        Err(e) => Err(failed("make the cgroup", &path, e)),
    }
}

fn make_parents(place: &Place, created: &mut Created) -> Result<()> {
    let mut path = place.mount.clone();
    let Some((parents, _)) = place.path.rsplit_once('/') else {
        return Ok(());
    };
    for part in parents.split('/') {
        path.push(part);
        match make_directory(&path) {
            Ok(()) => created.parents.push(path.clone()),
            Err(Errno::EXIST) => {}
            Err(e) => return Err(failed("make the cgroup", &path, e)),
        }
    }
    Ok(())
}

fn make_directory(path: &Path) -> std::result::Result<(), Errno> {
    rustix::fs::mkdir(path, Mode::from_raw_mode(0o755))
}

/// An existing directory is taken only when nobody is in it or below it and it is not frozen
/// (a process that joins a frozen cgroup never runs).
fn refuse_if_used(path: &Path) -> Result<()> {
    let in_use = |state| Err(Error::InUse { path: path.to_owned(), state });
    let directory = Directory::open(path)?;
    let processes = processes_below(&directory)?.len();
    if processes > 0 {
        let noun = if processes == 1 { "process" } else { "processes" };
        return in_use(format!("{processes} {noun}"));
    }
    let frozen = |file, thawed| -> Result<bool> {
        Ok(directory.read_if_present(file)?.is_some_and(|state| state.trim() != thawed))
    };
    if frozen("cgroup.freeze", "0")? || frozen("freezer.state", "THAWED")? {
        return in_use("it is frozen".into());
    }
    Ok(())
}

/// A new v1 cpuset is empty and takes no process; it gets what its parent has (kernel:
/// cgroup-v1/cpusets.rst). Parents that we made just now are empty as well.
fn inherit_cpuset(mount: &Path, path: &Path, just_made: bool) -> Result<()> {
    let mut chain: Vec<&Path> = path.ancestors().take_while(|p| *p != mount).collect();
    chain.push(mount);
    // Up to the first one that has both, then down again. The one just made needs no look.
    let mut index = usize::from(just_made);
    let mut values = [String::new(), String::new()];
    while index < chain.len() {
        values = cpuset_of(chain[index])?;
        if values.iter().all(|v| !v.is_empty()) {
            break;
        }
        index += 1;
    }
    for path in chain[..index].iter().rev() {
        let directory = Directory::open(path)?;
        for (file, value) in CPUSET_FILES.iter().zip(&values) {
            directory.write(file, value)?;
        }
    }
    Ok(())
}

const CPUSET_FILES: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

fn cpuset_of(path: &Path) -> Result<[String; 2]> {
    let directory = Directory::open(path)?;
    let read = |file| directory.read(file).map(|text| text.trim().to_owned());
    Ok([read(CPUSET_FILES[0])?, read(CPUSET_FILES[1])?])
}

//! ZFS through its own command, zfs(8): datasets, snapshots, clones and properties.
//!
//! Called with `-H -p`, so that what it prints are fields between tabs and plain numbers; with
//! LC_ALL=C, so that an error can be told by its text, which is all that zfs(8) gives. Nothing here
//! goes through a shell, and names are checked before they are arguments.

mod error;
mod name;
mod program;

use std::path::PathBuf;
use std::time::Duration;

pub use error::{Refusal, ZfsError};
pub use name::{Dataset, InvalidName, Property, Snapshot};

/// How long one command may take. A pool that lost its disks keeps commands waiting for ever.
const PATIENCE: Duration = Duration::from_secs(120);

/// The command, and how to call it.
#[derive(Clone, Debug)]
pub struct Zfs {
    program: PathBuf,
    patience: Duration,
}

impl Default for Zfs {
    /// `zfs` as found in the search path.
    fn default() -> Self {
        Self::new("zfs")
    }
}

/// What a list is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Filesystems.
    Filesystem,
    /// Snapshots.
    Snapshot,
}

impl Zfs {
    /// Calls `program` instead.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), patience: PATIENCE }
    }

    /// Gives a command so long at most.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The version of the kernel's part, such as `2.3.2-1`.
    ///
    /// # Errors
    /// [`ZfsError::NoProgram`], and [`Refusal::NoModule`] where the kernel has no ZFS.
    pub fn version(&self) -> Result<String, ZfsError> {
        let printed = self.run(&["version"])?;
        let kernel = printed.lines().find_map(|line| line.strip_prefix("zfs-kmod-"));
        kernel.map(str::to_owned).ok_or_else(|| ZfsError::Output {
            command: "version".to_owned(),
            problem: "it names no kernel module".to_owned(),
        })
    }

    /// Makes a filesystem, whose parent exists, with these properties.
    ///
    /// # Errors
    /// [`Refusal::Exists`], [`Refusal::NotFound`] for the parent.
    pub fn create(&self, dataset: &Dataset, set: &[(Property, &str)]) -> Result<(), ZfsError> {
        self.run_with("create", set, &[dataset.as_str()])
    }

    /// Makes a snapshot.
    ///
    /// # Errors
    /// [`Refusal::Exists`], [`Refusal::NotFound`].
    pub fn snapshot(&self, snapshot: &Snapshot) -> Result<(), ZfsError> {
        self.run(&["snapshot", &snapshot.to_string()]).map(drop)
    }

    /// Makes a filesystem out of a snapshot, with these properties.
    ///
    /// # Errors
    /// [`Refusal::Exists`], [`Refusal::NotFound`].
    pub fn clone_snapshot(
        &self,
        snapshot: &Snapshot,
        dataset: &Dataset,
        set: &[(Property, &str)],
    ) -> Result<(), ZfsError> {
        self.run_with("clone", set, &[&snapshot.to_string(), dataset.as_str()])
    }

    /// Destroys a filesystem that has neither children nor clones; with `snapshots` also its own
    /// snapshots.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::Busy`], [`Refusal::HasClones`], [`Refusal::HasChildren`].
    pub fn destroy(&self, dataset: &Dataset, snapshots: bool) -> Result<(), ZfsError> {
        if snapshots {
            // All of them in one go; `destroy -r` would take children, too.
            let all = format!("{dataset}@%");
            match self.run(&["destroy", &all]) {
                Err(ZfsError::Refused { refusal: Refusal::NotFound, .. }) | Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
        self.run(&["destroy", dataset.as_str()]).map(drop)
    }

    /// Properties of a filesystem, in the order asked for; `None` for one that is not set (`-`).
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn properties(
        &self,
        dataset: &Dataset,
        names: &[Property],
    ) -> Result<Vec<Option<String>>, ZfsError> {
        let list: Vec<&str> = names.iter().map(Property::as_str).collect();
        let list = list.join(",");
        let printed =
            self.run(&["get", "-H", "-p", "-o", "property,value", &list, dataset.as_str()])?;
        parse_properties(&printed, names)
    }

    /// The names of all filesystems or snapshots at most `depth` levels below a filesystem, which is
    /// among them as level 0.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn list(&self, dataset: &Dataset, kind: Kind, depth: u32) -> Result<Vec<String>, ZfsError> {
        let kind = match kind {
            Kind::Filesystem => "filesystem",
            Kind::Snapshot => "snapshot",
        };
        let depth = depth.to_string();
        let words = ["list", "-H", "-p", "-o", "name", "-t", kind, "-d", &depth, dataset.as_str()];
        Ok(self.run(&words)?.lines().map(str::to_owned).collect())
    }

    /// Whether there is a filesystem or snapshot of this name.
    ///
    /// # Errors
    /// All but [`Refusal::NotFound`].
    pub fn exists(&self, name: &impl std::fmt::Display) -> Result<bool, ZfsError> {
        match self.run(&["list", "-H", "-o", "name", "-t", "all", &name.to_string()]) {
            Ok(_) => Ok(true),
            Err(ZfsError::Refused { refusal: Refusal::NotFound, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn run_with(
        &self,
        verb: &str,
        set: &[(Property, &str)],
        names: &[&str],
    ) -> Result<(), ZfsError> {
        let set: Vec<String> =
            set.iter().map(|(property, value)| format!("{}={value}", property.as_str())).collect();
        let mut words = vec![verb];
        for property in &set {
            words.extend(["-o", property]);
        }
        words.extend(names);
        self.run(&words).map(drop)
    }

    fn run(&self, words: &[&str]) -> Result<String, ZfsError> {
        program::run(&self.program, words, self.patience)
    }
}

/// The output of `zfs get -H -o property,value`.
fn parse_properties(printed: &str, names: &[Property]) -> Result<Vec<Option<String>>, ZfsError> {
    let lines: Vec<(&str, &str)> =
        printed.lines().filter_map(|line| line.split_once('\t')).collect();
    let value = |name: &Property| {
        let found = lines.iter().find(|(property, _)| *property == name.as_str());
        let (_, value) = found.ok_or_else(|| ZfsError::Output {
            command: "get".to_owned(),
            problem: format!("it says nothing of {}", name.as_str()),
        })?;
        Ok((*value != "-").then(|| (*value).to_owned()))
    };
    names.iter().map(value).collect()
}

#[cfg(test)]
mod tests;

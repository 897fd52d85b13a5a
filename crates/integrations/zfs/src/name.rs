//! Names of datasets, snapshots and properties (zfs(8), "ZFS File System Hierarchy";
//! zfsprops(7), "User Properties").

use std::fmt;
use std::str::FromStr;

/// Longest name of a dataset or snapshot in bytes (`ZFS_MAX_DATASET_NAME_LEN` without the NUL).
const NAME_MAX: usize = 255;

/// A text that is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no name of a {what}: {problem}")]
pub struct InvalidName {
    /// As given, at most its first 300 characters.
    pub text: String,
    /// What it should be.
    pub what: &'static str,
    /// What is wrong.
    pub problem: &'static str,
}

fn invalid(text: &str, what: &'static str, problem: &'static str) -> InvalidName {
    InvalidName { text: text.chars().take(300).collect(), what, problem }
}

/// A filesystem: `pool`, `pool/a/b`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dataset(String);

impl Dataset {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The filesystem `name` below it.
    ///
    /// # Errors
    /// [`InvalidName`].
    pub fn child(&self, name: &str) -> Result<Self, InvalidName> {
        format!("{}/{name}", self.0).parse()
    }

    /// Its snapshot `name`.
    ///
    /// # Errors
    /// [`InvalidName`].
    pub fn at(&self, name: &str) -> Result<Snapshot, InvalidName> {
        let snapshot = Snapshot { dataset: self.clone(), name: name.to_owned() };
        let text = snapshot.to_string();
        if let Some(problem) = component_problem(name) {
            return Err(invalid(&text, "snapshot", problem));
        }
        if text.len() > NAME_MAX {
            return Err(invalid(&text, "snapshot", "longer than 255 bytes"));
        }
        Ok(snapshot)
    }
}

impl FromStr for Dataset {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.len() > NAME_MAX {
            return Err(invalid(text, "dataset", "longer than 255 bytes"));
        }
        // A pool's name begins with a letter, so no name is ever taken for an option.
        if !text.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return Err(invalid(text, "dataset", "it does not begin with a letter"));
        }
        match text.split('/').find_map(component_problem) {
            Some(problem) => Err(invalid(text, "dataset", problem)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A snapshot: `pool/a@name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Snapshot {
    dataset: Dataset,
    name: String,
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.dataset, self.name)
    }
}

fn component_problem(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':' | '.');
    match name {
        "" => Some("a part of it is empty"),
        "." | ".." => Some("a part of it is . or .."),
        _ if !name.chars().all(allowed) => {
            Some("only letters, digits, '_', '-', ':' and '.' are allowed")
        }
        _ => None,
    }
}

/// The name of a property, written in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property(&'static str);

impl Property {
    /// A property by its name; one of the user's own has a colon in it.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The name.
    pub fn as_str(&self) -> &'static str {
        self.0
    }
}

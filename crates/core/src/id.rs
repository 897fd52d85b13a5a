//! Container ids: the one name a container has in every command, file and cgroup.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest id in bytes: it becomes a directory name (`NAME_MAX`) below `--root` and in cgroupfs.
pub const MAX_LENGTH: usize = 255;

/// A valid container id: 1 to [`MAX_LENGTH`] of `A-Z a-z 0-9 _ + - .`, and neither `.` nor `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

/// Why a string is no container id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// The empty string.
    #[error("invalid id format: the container id is empty")]
    Empty,
    /// More than [`MAX_LENGTH`] bytes.
    #[error(
        "invalid id format: {0} bytes, at most {MAX_LENGTH} fit into the name of a state directory"
    )]
    TooLong(usize),
    /// `.` or `..`, which would leave the state directory.
    #[error("invalid id format: {0:?} is a directory of its own")]
    Dots(String),
    /// A character that is not allowed.
    #[error(
        "invalid id format: {id:?} has {character:?}, only letters, digits, '_', '+', '-' and '.' \
         are allowed"
    )]
    Character {
        /// The whole string as given.
        id: String,
        /// The first character that is not allowed.
        character: char,
    },
}

impl ContainerId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() {
            return Err(InvalidId::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(InvalidId::TooLong(text.len()));
        }
        if text == "." || text == ".." {
            return Err(InvalidId::Dots(text.to_owned()));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-' | '.');
        match text.chars().find(|&c| !allowed(c)) {
            Some(character) => Err(InvalidId::Character { id: text.to_owned(), character }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl TryFrom<String> for ContainerId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_clients_use() {
        let docker = "a".repeat(64);
        for id in ["t1", "a", "my_app-1.2+x", docker.as_str(), &"x".repeat(255), "...", "-"] {
            assert_eq!(id.parse::<ContainerId>().unwrap().as_str(), id);
        }
    }

    #[test]
    fn refuses_what_leaves_a_directory_or_a_line() {
        for id in ["", ".", "..", "a/b", "../x", "a b", "a\n", "a\0", "ä", "a:b", &"x".repeat(300)]
        {
            assert!(id.parse::<ContainerId>().is_err(), "{id:?}");
        }
    }

    #[test]
    fn a_stored_id_is_checked_too() {
        assert!(serde_json::from_str::<ContainerId>("\"../../etc\"").is_err());
    }
}

//! Where a value came from, and what is wrong with a configuration.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::value::ValueError;
use crate::logging::printable;

/// A place in a text file, both counted from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// Where a value or a problem came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The program's own default.
    Default,
    /// A configuration file, or (without a position) the file as a whole.
    File {
        /// The file as it was opened.
        path: Arc<Path>,
        /// The place in the file.
        position: Option<Position>,
    },
    /// An environment variable, by its name.
    Environment(String),
    /// An option of the command line, such as `--root`.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File { path, position: None } => write!(formatter, "{}", path.display()),
            Self::File { path, position: Some(Position { line, column }) } => {
                write!(formatter, "{}:{line}:{column}", path.display())
            }
            Self::Environment(name) => write!(formatter, "environment variable {name}"),
            Self::Flag(name) => write!(formatter, "option {name}"),
        }
    }
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file or directory cannot be opened or read.
    #[error("cannot read: {}", word(.0))]
    Unreadable(#[from] std::io::Error),
    /// A directory, a device, a fifo where a file should be.
    #[error("is {0}, not a file")]
    NotAFile(&'static str),
    /// A directory to check that holds nothing to check.
    #[error("holds neither config.toml nor conf.d/*.toml")]
    NoFiles,
    /// More bytes than any configuration has.
    #[error("is larger than {limit} bytes, which no configuration needs")]
    TooLarge {
        /// The most that is read.
        limit: u64,
    },
    /// Bytes that are not UTF-8, in a file or a variable.
    #[error("is not UTF-8 text")]
    NotUtf8,
    /// Not TOML, or a key that is given twice.
    #[error("{0}")]
    Syntax(String),
    /// A table that nothing reads.
    #[error("unknown section")]
    UnknownSection,
    /// A key that nothing reads.
    #[error("unknown key")]
    UnknownKey,
    /// A variable with our prefix that nothing reads.
    #[error("no key has this name")]
    UnknownVariable,
    /// A value of the wrong type or out of its bounds.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A route that would match everything.
    #[error("a route needs at least one of id, bundle and annotation")]
    RouteWithoutPattern,
    /// A route that leads nowhere.
    #[error("a route needs a backend")]
    RouteWithoutBackend,
    /// A route's annotation that is not `key=pattern`.
    #[error("expected key=pattern, such as tier=front-*")]
    RouteAnnotation,
    /// Reading stopped here.
    #[error("too many problems; the rest is not shown")]
    TooMany,
}

/// One thing that is wrong with the configuration.
#[derive(Debug)]
pub struct Problem {
    /// Where it is.
    pub origin: Origin,
    /// The path of the key, such as `runtime.root`, where there is one.
    pub key: Option<String>,
    /// What it is.
    pub fault: Fault,
    /// What would be right, for a `hint:` line.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    /// The place, the key and the fault on one line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = match &self.key {
            Some(key) => format!("{}: {key}: {}", self.origin, self.fault),
            None => format!("{}: {}", self.origin, self.fault),
        };
        // Names of files, keys and variables may hold any character.
        formatter.write_str(&printable(&line))
    }
}

impl std::error::Error for Problem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            Fault::Unreadable(error) => Some(error),
            _ => None,
        }
    }
}

/// Everything that is wrong with a configuration: at least one problem.
#[derive(Debug)]
pub struct Problems(pub(super) Vec<Problem>);

impl Problems {
    /// All problems, in the order in which the sources were read.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    /// The first problem and how many more there are: one line. The others are had by
    /// [`Problems::iter`].
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => formatter.write_str("no problem"),
            [only] => write!(formatter, "{only}"),
            [first, rest @ ..] => write!(formatter, "{first} (and {} more)", rest.len()),
        }
    }
}

impl std::error::Error for Problems {}

/// The kernel's answer in the words of C and of every other message here.
fn word(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        _ => error.to_string(),
    }
}

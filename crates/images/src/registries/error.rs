//! What can go wrong with registries.conf.

use std::path::Path;
use std::sync::Arc;

use lxcri_core::logging::printable;

use crate::reference::{InvalidReference, Problem, Reference, ShortName};

/// A file of the configuration that cannot be used.
#[derive(Debug)]
pub struct RegistriesError {
    /// The file.
    pub path: Arc<Path>,
    /// The line, counted from 1, where there is one.
    pub line: Option<usize>,
    /// The key, such as `registry.mirror.location`, where there is one.
    pub key: Option<String>,
    /// What is wrong.
    pub fault: Box<Fault>,
    /// What would be right.
    pub(super) hint: Option<String>,
}

impl RegistriesError {
    /// An error of the file as a whole.
    pub(super) fn of_file(path: &Path, fault: impl Into<Fault>) -> Self {
        Self { path: path.into(), line: None, key: None, fault: Box::new(fault.into()), hint: None }
    }

    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        self.hint.iter().map(|hint| printable(hint).into_owned()).collect()
    }
}

impl std::fmt::Display for RegistriesError {
    /// File, line, key and fault on one line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut line = self.path.display().to_string();
        if let Some(number) = self.line {
            line = format!("{line}:{number}");
        }
        if let Some(key) = &self.key {
            line = format!("{line}: {key}");
        }
        f.write_str(&printable(&format!("{line}: {}", self.fault)))
    }
}

impl std::error::Error for RegistriesError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.fault {
            Fault::Unreadable(error) => Some(error),
            _ => None,
        }
    }
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be opened or read.
    #[error("cannot read: {}", word(.0))]
    Unreadable(#[from] std::io::Error),
    /// A directory, a device, a fifo.
    #[error("is not a file")]
    NotAFile,
    /// More bytes than any configuration has.
    #[error("is larger than {0} bytes, which no configuration needs")]
    TooLarge(u64),
    /// More drop-in files than any configuration has.
    #[error("has more than {0} files, which no configuration needs")]
    TooMany(usize),
    /// Not UTF-8.
    #[error("is not UTF-8 text")]
    NotUtf8,
    /// Not TOML, or a key that is given twice.
    #[error("{0}")]
    Syntax(String),
    /// The format from before 2019.
    #[error("this is version 1 of the format, which is no longer read")]
    VersionOne,
    /// A key that the format does not have.
    #[error("unknown key")]
    UnknownKey,
    /// A value of the wrong type.
    #[error("expected {expected}, found {found}")]
    Type {
        /// What should stand there.
        expected: &'static str,
        /// What does.
        found: &'static str,
    },
    /// A word that is none of those allowed.
    #[error("{0:?} is not one of {list}", list = .1.join(", "))]
    Word(String, &'static [&'static str]),
    /// A registry or a name below it that could never match or be reached.
    #[error("{0:?} is no registry and no name below one: {1}")]
    Location(String, Problem),
    /// A wildcard anywhere but before a domain.
    #[error("{0:?}: a wildcard may only be the first label of a domain, *.example.com")]
    Wildcard(String),
    /// What a table must have.
    #[error("a [[registry]] needs a prefix or a location")]
    NoPrefix,
    /// What a mirror must have.
    #[error("a mirror needs a location")]
    NoLocation,
    /// Two tables for one prefix in one file, of which one would be without effect.
    #[error("the prefix {0:?} has been used on line {1}")]
    Twice(String, usize),
    /// Two tables that say different things of one location.
    #[error("{location:?} has another value on line {line}")]
    Conflict {
        /// The location.
        location: String,
        /// Where the other value is.
        line: usize,
    },
    /// Both ways to say when a mirror is used.
    #[error("cannot be set together with mirror-by-digest-only")]
    BothMirrorRules,
    /// A key of mirrors, used elsewhere.
    #[error("belongs into [[registry.mirror]]")]
    OfMirrors,
    /// An alias whose name is none.
    #[error("no short name: {0}")]
    AliasName(InvalidReference),
    /// An alias that leads nowhere.
    #[error("no complete name: {0}")]
    AliasValue(InvalidReference),
    /// An alias that would need another one.
    #[error("{0:?} names no registry")]
    AliasShort(String),
    /// A tag or digest in an alias.
    #[error("an alias has neither tag nor digest")]
    AliasTag,
    /// A credential helper whose name would be more than the end of a program's name.
    #[error("{0:?} is no name of a credential helper")]
    Helper(String),
}

/// The kernel's answer in the words of C and of every other message here.
fn word(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        _ => error.to_string(),
    }
}

/// A name that the configuration does not let through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// Forbidden.
    #[error("{reference} is blocked by the prefix {prefix:?} in {}", printable(&.path.to_string_lossy()))]
    Blocked {
        /// What was wanted.
        reference: Box<Reference>,
        /// What forbids it.
        prefix: String,
        /// Where that stands.
        path: Arc<Path>,
    },
    /// A location and the rest of the name that make no name together.
    #[error("{reference} is to be had as {text:?} by {}, but that is no name: {problem}", printable(&.path.to_string_lossy()))]
    Rewrite {
        /// What was wanted.
        reference: Box<Reference>,
        /// What became of it.
        text: String,
        /// What is wrong with that.
        problem: Problem,
        /// Where the location stands.
        path: Arc<Path>,
    },
    /// Several candidates, and nobody to choose.
    #[error("the short name {name} could be {}", or(candidates))]
    Ambiguous {
        /// What was wanted.
        name: Box<ShortName>,
        /// What it could be, in the order of the configuration; at least two.
        candidates: Vec<Reference>,
        /// Where the registries stand.
        path: Option<Arc<Path>>,
    },
    /// No alias, and an empty list of registries to search.
    #[error(
        "the short name {name} has no alias, and unqualified-search-registries is empty in {}",
        printable(&.path.to_string_lossy())
    )]
    NoRegistries {
        /// What was wanted.
        name: Box<ShortName>,
        /// Where the empty list stands.
        path: Arc<Path>,
    },
    /// The name does not fit on a registry.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
}

impl LookupError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Ambiguous { path, .. } => {
                let place = path.as_ref().map_or(String::new(), |path| {
                    format!(" in {}", printable(&path.to_string_lossy()))
                });
                vec![
                    "write the complete name, or give the short name an alias".to_owned(),
                    format!("short-name-mode is enforcing{place}"),
                ]
            }
            Self::NoRegistries { name, .. } => match name.on(crate::reference::DOCKER_IO) {
                Ok(reference) => vec![format!("write the complete name, such as {reference}")],
                Err(_) => Vec::new(),
            },
            Self::Reference(error) => error.hints(),
            Self::Blocked { .. } | Self::Rewrite { .. } => Vec::new(),
        }
    }
}

/// A list in words; long ones are cut.
fn or(candidates: &[Reference]) -> String {
    let shown: Vec<_> = candidates.iter().take(8).map(Reference::to_string).collect();
    let more = candidates.len() - shown.len();
    let list = shown.join(" or ");
    if more == 0 { list } else { format!("{list} or one of {more} more") }
}

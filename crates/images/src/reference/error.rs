//! What is wrong with a name, and what would be right.

use std::fmt;

use super::{Name, grammar};
use crate::digest::InvalidDigest;

/// So much of a wrong name is kept to be shown.
const SHOWN: usize = 160;

/// A text that is no image name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no image name: {problem}")]
pub struct InvalidReference {
    /// What was given, at most its first 160 characters.
    pub text: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// A part of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Reference,
    /// Registry and repository.
    Name,
    /// The host and port before the first slash.
    Registry,
    /// The path on the registry.
    Repository,
    /// What follows the colon.
    Tag,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reference => "it",
            Self::Name => "registry and repository together",
            Self::Registry => "the registry",
            Self::Repository => "the repository",
            Self::Tag => "the tag",
        })
    }
}

/// What is wrong with a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// More than the specification allows.
    #[error("{part} may have no more than {most} characters")]
    TooLong {
        /// What is too long.
        part: Part,
        /// What it may have.
        most: usize,
    },
    /// A character that must not stand there.
    #[error("{part} must not have {}", shown(*character))]
    Character {
        /// Where it stands.
        part: Part,
        /// The character.
        character: char,
    },
    /// A character that must not stand first.
    #[error("{part} must not begin with {}", shown(*character))]
    First {
        /// What begins with it.
        part: Part,
        /// The character.
        character: char,
    },
    /// Upper case in a repository.
    #[error("the repository must be in lower case")]
    UpperCase,
    /// Two slashes in a row, or one at the end.
    #[error("a component of the path is empty")]
    EmptyComponent,
    /// A component that does not begin and end with a letter or digit, or has dots and underscores
    /// in a row.
    #[error(
        "{0:?} must begin and end with a letter or digit and have no more than one of \".\", \"_\", \
         \"__\" or dashes between them"
    )]
    Separators(String),
    /// A colon and nothing behind it.
    #[error("there is no tag behind the colon")]
    EmptyTag,
    /// What follows `@` is no digest that can be verified.
    #[error("{:?} is no digest: {}", .0.text, .0.problem)]
    Digest(InvalidDigest),
    /// The id of an image: 64 hexadecimal digits, with or without `sha256:`.
    #[error("this is an id, and no registry knows images by id alone")]
    LooksLikeId,
    /// A URL.
    #[error("names have no scheme such as {0}://")]
    Scheme(String),
    /// A path of the file system.
    #[error("this is a path")]
    LooksLikePath,
    /// What stands before the first slash is no host name.
    #[error("the registry {0:?} is no host name")]
    Host(String),
    /// Brackets without an IPv6 address in them, or with a zone or an IPv4 address.
    #[error("the registry {0:?} is no IPv6 address in brackets")]
    Address(String),
    /// What follows the colon in the registry is not a number from 1 to 65535.
    #[error("the registry's port {0:?} is not a number from 1 to 65535")]
    Port(String),
    /// A registry and nothing else.
    #[error("there is no repository behind the registry")]
    NoRepository,
    /// A registry where there must be none.
    #[error("a short name names no registry")]
    Qualified,
}

/// A character and, unless it is plain, its number.
fn shown(character: char) -> String {
    match character {
        '\'' | '"' => character.to_string(),
        ' '..='~' => format!("{character:?}"),
        _ => format!("{character:?} (U+{:04X})", u32::from(character)),
    }
}

impl InvalidReference {
    pub(super) fn new(text: &str, problem: Problem) -> Self {
        Self { text: text.chars().take(SHOWN).collect(), problem }
    }

    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        let hint = match &self.problem {
            Problem::UpperCase => self.instead(&lower_case(&self.text)),
            Problem::Scheme(scheme) => {
                let rest = self.text.get(scheme.len() + "://".len()..).unwrap_or_default();
                self.instead(rest.trim_end_matches('/'))
            }
            Problem::Character { character, .. } if character.is_whitespace() => {
                self.instead(self.text.trim())
            }
            Problem::Character { character, .. } if !character.is_ascii() => {
                Some("names are written in ASCII; other letters may only look the same".to_owned())
            }
            Problem::EmptyTag => self.instead(self.text.trim_end_matches(':')),
            Problem::EmptyComponent => {
                let trimmed = self.text.trim_end_matches('/');
                // A registry alone would be read as a path.
                trimmed.contains('/').then(|| self.instead(trimmed)).flatten()
            }
            Problem::Digest(_) => {
                Some("a digest is sha256: and 64 lower-case hexadecimal digits".to_owned())
            }
            Problem::LooksLikeId => {
                Some("to pull by digest, write NAME@sha256:… with the manifest's digest".to_owned())
            }
            Problem::LooksLikePath => Some(
                "write oci:DIR, oci-archive:FILE or docker-archive:FILE for an image in files, \
                 rootfs:FILE for a root filesystem's tarball"
                    .to_owned(),
            ),
            _ => None,
        };
        hint.into_iter().collect()
    }

    /// Proposes another text if that is a name.
    fn instead(&self, text: &str) -> Option<String> {
        // A text that may have been cut is no base for a proposal.
        let is_whole = self.text.chars().count() < SHOWN;
        let is_better = is_whole && text != self.text && text.parse::<Name>().is_ok();
        is_better.then(|| format!("did you mean {text}?"))
    }
}

/// Everything but the tag and the digest in lower case.
fn lower_case(text: &str) -> String {
    let name = text.split_once('@').map_or(text, |(name, _)| name);
    let (path, _) = grammar::split_tag(name);
    let (path, rest) = text.split_at(path.len());
    format!("{}{rest}", path.to_ascii_lowercase())
}

//! What is asked for: a repository of a registry, and a tag or digest in it.

use std::fmt;

use super::error::Error;
use super::url::{Scheme, Url};
use crate::digest::Digest;

/// The longest name of a repository, host and all, in bytes (distribution-spec, "Pulling manifests").
const LONGEST_NAME: usize = 255;

/// The longest tag, in bytes (distribution-spec, "Pulling manifests").
const LONGEST_TAG: usize = 128;

/// A repository of a registry. Its parts are safe in an address and in a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Repository {
    host: String,
    name: String,
    insecure: bool,
}

impl Repository {
    /// The repository `name` of the registry `host[:port]`; `docker.io` is Docker Hub. An `insecure`
    /// registry may have a certificate that nobody vouches for, or none.
    ///
    /// # Errors
    /// Host or name are none.
    pub fn new(host: &str, name: &str, insecure: bool) -> Result<Self, Error> {
        let invalid = |what, text: &str, problem| {
            Err(Error::Invalid { what, text: text.chars().take(300).collect(), problem })
        };
        if let Err(problem) = Url::of_host(Scheme::Https, host) {
            return invalid("registry", host, problem);
        }
        if let Some(problem) = name_problem(name) {
            return invalid("repository", name, problem);
        }
        Ok(Self { host: host.to_ascii_lowercase(), name: name.to_owned(), insecure })
    }

    /// The registry, `host[:port]` in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The name in the registry.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether TLS is not insisted on.
    pub fn insecure(&self) -> bool {
        self.insecure
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.name)
    }
}

/// What is wrong with a repository's name (distribution-spec: lower-case words with `.`, `_`, `__` and
/// `-` inside, parted by slashes).
pub(super) fn name_problem(name: &str) -> Option<&'static str> {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let fits = |part: &str| {
        let bytes = part.as_bytes();
        edge(bytes.first())
            && edge(bytes.last())
            && bytes
                .iter()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
            && !part.contains("..")
    };
    if name.len() > LONGEST_NAME {
        return Some("longer than 255 bytes");
    }
    (!name.split('/').all(fits)).then_some("not lower-case words parted by slashes")
}

/// What a manifest is asked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Tag(String),
    Digest(Digest),
}

impl Label {
    /// A digest where there is a colon, else a tag.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let invalid = |what, problem| {
            Err(Error::Invalid { what, text: text.chars().take(300).collect(), problem })
        };
        if text.contains(':') {
            return match text.parse() {
                Ok(digest) => Ok(Self::Digest(digest)),
                Err(error) => invalid("digest", error.problem),
            };
        }
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let mut bytes = text.bytes();
        if !bytes.next().is_some_and(word) || !bytes.all(|b| word(b) || matches!(b, b'.' | b'-')) {
            return invalid("tag", "not a word of letters, digits, `_`, `.` and `-`");
        }
        if text.len() > LONGEST_TAG {
            return invalid("tag", "longer than 128 bytes");
        }
        Ok(Self::Tag(text.to_owned()))
    }

    /// The whole reference, for messages.
    pub(super) fn of(&self, repository: &Repository) -> String {
        match self {
            Self::Tag(tag) => format!("{repository}:{tag}"),
            Self::Digest(digest) => format!("{repository}@{digest}"),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["a", "library/nginx", "a.b/c_d/e--f/g__h", "0"] {
            assert!(Repository::new("docker.io", name, false).is_ok(), "{name}");
        }
        let long = "a".repeat(256);
        for name in ["", "/", "a/", "/a", "a//b", "A", "a/../b", "..", "a b", "a?b", "-a", &long] {
            assert!(Repository::new("docker.io", name, false).is_err(), "{name}");
        }
        for host in ["", "..", "a/b", "a@b", "a b", "a:b", "a:99999", "user:pass@a"] {
            assert!(Repository::new(host, "a", false).is_err(), "{host}");
        }
    }

    #[test]
    fn labels() {
        let digest = Digest::of(b"").to_string();
        for text in ["latest", "_x", "1.2-3", &digest] {
            assert_eq!(Label::parse(text).unwrap().to_string(), text);
        }
        let long = "a".repeat(129);
        for text in ["", ".a", "-a", "a/b", "a b", "sha256:x", "../x", &long] {
            assert!(Label::parse(text).is_err(), "{text}");
        }
    }
}

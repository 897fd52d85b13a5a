//! Image names: what a registry serves an image under, and what users type.
//!
//! ```text
//! error    what is wrong with a name, and what would be right
//! grammar  the grammar of names, part by part
//! short    names without a registry, which registries.conf turns into references
//! source   where else an image can come from: directories, archives, tarballs
//! ```
//!
//! A name has the grammar of distribution's reference package: `[registry/]path[:tag][@digest]`.
//! The first component is a registry only if it has a dot, a colon or brackets, or is `localhost`;
//! otherwise the registry is docker.io, and there a path of one component is below `library/`.

mod error;
mod grammar;
mod short;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::error::{InvalidReference, Part, Problem};
pub(crate) use self::grammar::{host, prefix};
pub use self::short::{Name, ShortName};
pub use self::source::{InvalidSource, Pick, Source};
use crate::digest::Digest;

/// The registry of names that name none.
pub const DOCKER_IO: &str = "docker.io";

/// The tag of names with neither tag nor digest.
pub const LATEST: &str = "latest";

/// Most bytes of registry and repository together, with the slash between them (distribution-spec,
/// "Pulling manifests": many clients impose it).
pub const LONGEST_NAME: usize = 255;

/// Most bytes of a tag (distribution-spec, "Pulling manifests").
pub const LONGEST_TAG: usize = 128;

/// The name of an image in a registry, complete: where Docker would add a default, it has been
/// added. Its text is ASCII without white space, control characters or empty components, at most
/// 521 bytes long.
///
/// The registry is in lower case, because two spellings of one host must not be two names: what is
/// blocked as `example.com` is not to be had as `EXAMPLE.com`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Puts the parts together. They have been checked one by one; the length of all is not.
    fn new(
        registry: &str,
        path: &str,
        tag: Option<String>,
        digest: Option<Digest>,
    ) -> Result<Self, Problem> {
        let is_official = registry == DOCKER_IO && !path.contains('/');
        let repository = if is_official { format!("library/{path}") } else { path.to_owned() };
        if registry.len() + 1 + repository.len() > LONGEST_NAME {
            return Err(Problem::TooLong { part: Part::Name, most: LONGEST_NAME });
        }
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }

    /// The host that serves it, with a port where one was given: `docker.io`, `localhost:5000`,
    /// `[fd00::1]:5000`. docker.io is Docker's name for its registry; that registry's API is
    /// elsewhere.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path on the registry, such as `library/nginx`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, where there is one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where there is one. It decides, even if there is a tag, too.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Registry and repository, `docker.io/library/nginx`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The form for people: without docker.io and `library/`, as Docker shows it. Where the short
    /// form would be read as another name, it is the full one: what is shown can be typed.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let Some(path) = full.strip_prefix("docker.io/") else { return full };
        let official = path.strip_prefix("library/").filter(|path| !path.contains('/'));
        let short = official.unwrap_or(path);
        if short.parse().is_ok_and(|again: Self| again == *self) { short.to_owned() } else { full }
    }

    /// Itself, with the tag `latest` where there is neither tag nor digest.
    #[must_use]
    pub fn tagged_or_latest(&self) -> Self {
        let mut reference = self.clone();
        if reference.tag.is_none() && reference.digest.is_none() {
            reference.tag = Some(LATEST.to_owned());
        }
        reference
    }

    /// The same with this digest. A tag stays: it says what was meant.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// The same repository with this tag and no digest.
    ///
    /// # Errors
    /// If it is no tag.
    pub fn with_tag(&self, tag: &str) -> Result<Self, InvalidReference> {
        grammar::tag(tag).map_err(|problem| InvalidReference::new(tag, problem))?;
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same on another registry.
    ///
    /// # Errors
    /// If it is no host with an optional port that a name could begin with, or if the name gets too
    /// long.
    pub fn with_registry(&self, registry: &str) -> Result<Self, InvalidReference> {
        let moved = host(registry).and_then(|host| {
            Self::new(&host, &self.repository, self.tag.clone(), self.digest.clone())
        });
        moved.map_err(|problem| InvalidReference::new(registry, problem))
    }

    /// The same in another repository of the registry.
    ///
    /// # Errors
    /// If it is no path of a repository, or if the name gets too long.
    pub fn with_repository(&self, repository: &str) -> Result<Self, InvalidReference> {
        let moved = grammar::path(repository).and_then(|()| {
            Self::new(&self.registry, repository, self.tag.clone(), self.digest.clone())
        });
        moved.map_err(|problem| InvalidReference::new(repository, problem))
    }

    /// Registry and repository alone.
    #[must_use]
    pub fn without_tag_and_digest(&self) -> Self {
        Self { tag: None, digest: None, ..self.clone() }
    }

    /// Whether the registry is this machine: `localhost`, 127.0.0.0/8 or ::1.
    pub fn is_loopback(&self) -> bool {
        let host = &self.registry;
        if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            return address.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback());
        }
        let host = host.split_once(':').map_or(host.as_str(), |(host, _)| host);
        host == "localhost"
            || host.parse().is_ok_and(|address: std::net::Ipv4Addr| address.is_loopback())
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    /// Reads a name and adds what Docker adds: docker.io, and `library/` there. A tag is not added.
    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let reference = grammar::parts(text).and_then(|parts| {
            let registry = parts.registry.as_deref().unwrap_or(DOCKER_IO);
            Self::new(registry, parts.path, parts.tag.map(str::to_owned), parts.digest)
        });
        reference.map_err(|problem| InvalidReference::new(text, problem))
    }
}

impl fmt::Display for Reference {
    /// The complete form, which reads back to the same reference.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        suffix(f, self.tag.as_deref(), self.digest.as_ref())
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What comes after the path.
fn suffix(f: &mut fmt::Formatter<'_>, tag: Option<&str>, digest: Option<&Digest>) -> fmt::Result {
    if let Some(tag) = tag {
        write!(f, ":{tag}")?;
    }
    digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

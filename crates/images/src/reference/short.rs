//! Names without a registry.

use std::fmt;
use std::str::FromStr;

use super::error::{InvalidReference, Problem};
use super::{DOCKER_IO, Reference, grammar, suffix};
use crate::digest::Digest;

/// A name as it was typed, before anybody decides where a short one leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// It names its registry.
    Qualified(Reference),
    /// It does not.
    Short(ShortName),
}

/// A name without a registry, such as `nginx`, `library/nginx:1` or `nginx@sha256:…`
/// (containers-registries.conf(5), "Short-Name Aliasing"). `registries` says where it leads;
/// parsed as a [`Reference`] it would be on docker.io.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortName {
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ShortName {
    /// The path as it was typed: `library/` is not added.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, where there is one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where there is one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The name on a registry; on docker.io one component goes below `library/`.
    ///
    /// # Errors
    /// If it is no registry, or if the name gets too long.
    pub fn on(&self, registry: &str) -> Result<Reference, InvalidReference> {
        let reference = grammar::host(registry).and_then(|host| {
            Reference::new(&host, &self.repository, self.tag.clone(), self.digest.clone())
        });
        reference.map_err(|problem| InvalidReference::new(&self.to_string(), problem))
    }

    /// The tag and digest of this name in the repository of an alias.
    pub(crate) fn in_repository_of(&self, alias: &Reference) -> Reference {
        let (tag, digest) = (self.tag.clone(), self.digest.clone());
        Reference { tag, digest, ..alias.clone() }
    }
}

impl FromStr for Name {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let parts = grammar::parts(text).map_err(|problem| InvalidReference::new(text, problem))?;
        if parts.registry.is_some() {
            return text.parse().map(Self::Qualified);
        }
        let short = ShortName {
            repository: parts.path.to_owned(),
            tag: parts.tag.map(str::to_owned),
            digest: parts.digest,
        };
        // A name that does not even fit on docker.io fits nowhere.
        short.on(DOCKER_IO)?;
        Ok(Self::Short(short))
    }
}

impl FromStr for ShortName {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        match text.parse()? {
            Name::Short(short) => Ok(short),
            Name::Qualified(_) => Err(InvalidReference::new(text, Problem::Qualified)),
        }
    }
}

impl fmt::Display for ShortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        suffix(f, self.tag.as_deref(), self.digest.as_ref())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Qualified(reference) => reference.fmt(f),
            Self::Short(short) => short.fmt(f),
        }
    }
}

//! Which names a `[[registry]]` is about, and what becomes of them elsewhere.

use std::fmt;

use super::error::Fault;
use crate::reference::{self, Problem, Reference};

/// What a `[[registry]]` is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Prefix {
    /// Everything from a registry, below a path, or one name.
    Name(String),
    /// Every host below a domain: `.example.com`, with the dot.
    Subdomains(String),
}

/// Where something is served: a registry, or a name below one that the rest of a name is put to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location(String);

impl Prefix {
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let Some(domain) = text.strip_prefix('*') else {
            if text.contains('*') {
                return Err(Fault::Wildcard(text.chars().take(160).collect()));
            }
            return name(text).map(Self::Name);
        };
        let is_domain = domain.strip_prefix('.').is_some_and(|domain| {
            !domain.contains([':', '/', '@', '*', '['])
                && reference::host(&format!("a.{domain}")).is_ok()
        });
        if !is_domain {
            return Err(Fault::Wildcard(text.chars().take(160).collect()));
        }
        Ok(Self::Subdomains(domain.to_ascii_lowercase()))
    }

    /// How much of a complete name it covers, in bytes; nothing if the name is none of its own.
    ///
    /// A host without a port covers that host with any port, as for the other tools that read
    /// registries.conf: what is blocked is not to be had by `:443`.
    pub(super) fn covers(&self, name: &str) -> Option<usize> {
        let length = match self {
            Self::Name(prefix) => name.starts_with(prefix.as_str()).then_some(prefix.len())?,
            Self::Subdomains(domain) => {
                let length = name.find([':', '/']).unwrap_or(name.len());
                // The grammar of hosts has no empty label: something stands before the dot.
                name[..length].ends_with(domain.as_str()).then_some(length)?
            }
        };
        let ends = name[length..].chars().next().is_none_or(|c| matches!(c, ':' | '/' | '@'));
        ends.then_some(length)
    }

    /// Of several that cover a name the one with the greatest weight counts: the longest, and of
    /// `*.example.com` and `a.example.com` the one that names the host.
    pub(super) fn weight(&self) -> (usize, bool) {
        match self {
            Self::Name(prefix) => (prefix.len(), true),
            Self::Subdomains(domain) => (domain.len() + 1, false),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(prefix) => f.write_str(prefix),
            Self::Subdomains(domain) => write!(f, "*{domain}"),
        }
    }
}

impl Location {
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        name(text).map(Self)
    }

    /// What serves what a prefix covers, where nothing else is said.
    pub(super) fn of_prefix(prefix: &Prefix) -> Option<Self> {
        match prefix {
            Prefix::Name(name) => Some(Self(name.clone())),
            Prefix::Subdomains(_) => None,
        }
    }

    /// The name here of what goes on with `rest` there.
    pub(super) fn name_of(&self, rest: &str) -> Result<Reference, (String, Problem)> {
        let text = format!("{}{rest}", self.0);
        text.parse().map_err(|error: reference::InvalidReference| (text, error.problem))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn name(text: &str) -> Result<String, Fault> {
    reference::prefix(text)
        .map_err(|problem| Fault::Location(text.chars().take(160).collect(), problem))
}

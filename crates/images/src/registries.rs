//! registries.conf: where names lead, which registries have mirrors, which are blocked
//! (containers-registries.conf(5), version 2 of the format).
//!
//! ```text
//! paths     which files count: /etc/containers, the user's, a named one, drop-ins
//! document  one file; reader takes typed values out of it
//! prefix    which names a [[registry]] covers, and what they are called elsewhere
//! error     what is wrong with a file, and which names are not let through
//! ```
//!
//! Files that podman would misunderstand in silence are errors here: unknown keys, two tables for
//! one prefix, registries that no name can have. Version 1 of the format is not read.
//!
//! Without any configuration, and as long as no file sets `unqualified-search-registries`, names
//! without a registry are docker.io's, as for Docker. podman refuses them then; an empty list
//! brings that about here, too.

mod document;
mod error;
mod paths;
mod prefix;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use self::document::{Document, Mirror, Pulls, Registry};
pub use self::error::{Fault, LookupError, RegistriesError};
pub use self::paths::Paths;
use self::prefix::Location;
use crate::reference::{DOCKER_IO, Reference, ShortName};

/// The credential helper that stands for containers-auth.json(5): no program.
pub const AUTH_FILE_HELPER: &str = "containers-auth.json";

/// All of the configuration.
#[derive(Clone, Debug)]
pub struct Registries {
    registries: Vec<Registry>,
    search: Option<(Vec<String>, Arc<Path>)>,
    mode: ShortNameMode,
    aliases: BTreeMap<String, (Option<Reference>, Arc<Path>)>,
    helpers: Vec<String>,
}

/// What happens to a short name without an alias that several registries may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShortNameMode {
    /// Somebody has to choose.
    Enforcing,
    /// Somebody may choose where there is a terminal; otherwise all are tried.
    #[default]
    Permissive,
    /// All are tried.
    Disabled,
}

/// What a short name may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// Complete names with a tag or digest, in the order in which they are tried; at least one.
    pub references: Vec<Reference>,
    /// What led there.
    pub origin: Origin,
    /// Whether a user at a terminal should be asked which one is meant.
    pub ask: bool,
}

/// What led from a short name to a complete one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An alias in this file.
    Alias(Arc<Path>),
    /// The registries to search, from this file.
    Search(Arc<Path>),
    /// No configuration: docker.io.
    Default,
}

/// Where a name is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The name there, with a tag or digest: its registry is the one to talk to.
    pub reference: Reference,
    /// Whether plain HTTP and certificates that cannot be verified are allowed. This machine's own
    /// registries are so unless the configuration says otherwise, as for Docker.
    pub insecure: bool,
    /// Whether it is a mirror: one that fails or lacks the image is passed over.
    pub is_mirror: bool,
}

impl Registries {
    /// What holds when there are no files.
    pub fn empty() -> Self {
        Self {
            registries: Vec::new(),
            search: None,
            mode: ShortNameMode::default(),
            aliases: BTreeMap::new(),
            helpers: vec![AUTH_FILE_HELPER.to_owned()],
        }
    }

    /// Reads the configuration. Later files win, key by key, prefix by prefix and alias by alias.
    ///
    /// # Errors
    /// If a file cannot be read, or if anything in it is wrong; and if [`Paths::named`] is absent.
    pub fn load(paths: &Paths) -> Result<Self, RegistriesError> {
        let mut registries = Self::empty();
        for (path, text) in paths.read()? {
            registries.merge(&path, document::read(&path, &text)?);
        }
        if let Some(path) = &paths.aliases
            && let Some(text) = paths::read(path)?
        {
            registries.merge(path, document::read_aliases(path, &text)?);
        }
        Ok(registries)
    }

    /// Reads one text as the only file, of the name `path`.
    ///
    /// # Errors
    /// If anything in it is wrong.
    pub fn parse(path: &Path, text: &str) -> Result<Self, RegistriesError> {
        let mut registries = Self::empty();
        registries.merge(path, document::read(path, text)?);
        Ok(registries)
    }

    fn merge(&mut self, path: &Path, document: Document) {
        let path: Arc<Path> = path.into();
        // Within one file no prefix comes twice, so that the earlier ones are looked at once.
        let prefixes: std::collections::HashSet<_> =
            document.registries.iter().map(|registry| registry.prefix.clone()).collect();
        self.registries.retain(|earlier| !prefixes.contains(&earlier.prefix));
        self.registries.extend(document.registries);
        if let Some(search) = document.search {
            self.search = Some((search, Arc::clone(&path)));
        }
        if let Some(helpers) = document.helpers {
            self.helpers = helpers;
        }
        self.mode = document.mode.unwrap_or(self.mode);
        for (name, target) in document.aliases {
            self.aliases.insert(name, (target, Arc::clone(&path)));
        }
        if self.helpers.is_empty() {
            self.helpers.push(AUTH_FILE_HELPER.to_owned());
        }
    }

    /// The credential helpers in the order in which they are asked, by the ends of their programs'
    /// names (`docker-credential-NAME`); [`AUTH_FILE_HELPER`] stands for the authentication files.
    /// At least one; none has a slash in it.
    pub fn credential_helpers(&self) -> &[String] {
        &self.helpers
    }

    /// How ambiguous short names are treated.
    pub fn short_name_mode(&self) -> ShortNameMode {
        self.mode
    }

    /// The complete names that a short name may mean, in the order in which they are to be tried,
    /// where there is no terminal to ask at.
    ///
    /// # Errors
    /// If there are several and the mode is enforcing; and as [`Registries::candidates`].
    pub fn resolve_short(&self, name: &ShortName) -> Result<Vec<Reference>, LookupError> {
        let Candidates { references, origin, .. } = self.candidates(name)?;
        if references.len() > 1 && self.mode == ShortNameMode::Enforcing {
            let path = match origin {
                Origin::Alias(path) | Origin::Search(path) => Some(path),
                Origin::Default => None,
            };
            return Err(LookupError::Ambiguous {
                name: Box::new(name.clone()),
                candidates: references,
                path,
            });
        }
        Ok(references)
    }

    /// What a short name may mean: its alias, else the name on each registry to search. An alias is
    /// of a repository; the tag and digest are those of the name.
    ///
    /// # Errors
    /// If the list of registries to search is empty, or the name does not fit on one of them.
    pub fn candidates(&self, name: &ShortName) -> Result<Candidates, LookupError> {
        if let Some((Some(target), path)) = self.aliases.get(name.repository()) {
            return Ok(Candidates {
                references: vec![name.in_repository_of(target).tagged_or_latest()],
                origin: Origin::Alias(Arc::clone(path)),
                ask: false,
            });
        }
        let default = [DOCKER_IO.to_owned()];
        let (hosts, origin) = match &self.search {
            Some((hosts, path)) if hosts.is_empty() => {
                let (name, path) = (Box::new(name.clone()), Arc::clone(path));
                return Err(LookupError::NoRegistries { name, path });
            }
            Some((hosts, path)) => (hosts.as_slice(), Origin::Search(Arc::clone(path))),
            None => (default.as_slice(), Origin::Default),
        };
        let mut references: Vec<Reference> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for host in hosts.iter().filter(|host| seen.insert(host.as_str())) {
            references.push(name.on(host)?.tagged_or_latest());
        }
        let ask = references.len() > 1 && self.mode != ShortNameMode::Disabled;
        Ok(Candidates { references, origin, ask })
    }

    /// Where to pull a name from, in the order in which to try: mirrors first, its own registry or
    /// what stands for it last.
    ///
    /// # Errors
    /// If the name is blocked, or is to be had under a name only that is blocked itself; if a
    /// location and the name make no name together.
    pub fn endpoints(&self, reference: &Reference) -> Result<Vec<Endpoint>, LookupError> {
        let wanted = reference.tagged_or_latest();
        self.refuse_blocked(&wanted)?;
        let text = wanted.to_string();
        let Some((registry, covered)) = self.covering(&text) else {
            return Ok(vec![endpoint(wanted, None, false)]);
        };
        let rest = &text[covered..];
        let mut endpoints = Vec::new();
        for mirror in registry.mirrors.iter().filter(|mirror| mirror.serves(&wanted)) {
            let moved = moved(&wanted, &mirror.location, rest, registry)?;
            if self.refuse_blocked(&moved).is_ok() {
                endpoints.push(endpoint(moved, mirror.insecure, true));
            }
        }
        let own = match &registry.location {
            Some(location) => moved(&wanted, location, rest, registry)?,
            None => wanted,
        };
        match self.refuse_blocked(&own) {
            Ok(()) => endpoints.push(endpoint(own, registry.insecure, false)),
            Err(blocked) if endpoints.is_empty() => return Err(blocked),
            Err(_) => {}
        }
        Ok(endpoints)
    }

    /// Where to push a name to: always where it says. Mirrors and other locations are for pulls
    /// (containers-registries.conf(5), "Remapping and mirroring registries").
    ///
    /// # Errors
    /// If the name is blocked.
    pub fn push_endpoint(&self, reference: &Reference) -> Result<Endpoint, LookupError> {
        let wanted = reference.tagged_or_latest();
        self.refuse_blocked(&wanted)?;
        let covering = self.covering(&wanted.to_string());
        let insecure = covering.and_then(|(registry, _)| registry.insecure);
        Ok(endpoint(wanted, insecure, false))
    }

    /// The table with the longest prefix that covers a complete name, and how much of it.
    fn covering<'r>(&'r self, name: &str) -> Option<(&'r Registry, usize)> {
        let covers = |registry: &'r Registry| Some((registry, registry.prefix.covers(name)?));
        self.registries
            .iter()
            .filter_map(covers)
            .max_by_key(|(registry, _)| registry.prefix.weight())
    }

    /// Fails if a name is forbidden: as it is, or by its digest alone if it has a tag, too.
    fn refuse_blocked(&self, reference: &Reference) -> Result<(), LookupError> {
        let names = match reference.digest() {
            Some(digest) => vec![reference.to_string(), format!("{}@{digest}", reference.name())],
            None => vec![reference.to_string()],
        };
        let covering = names.iter().filter_map(|name| self.covering(name));
        let blocking = covering.map(|(registry, _)| registry).find(|registry| registry.blocked);
        let Some(registry) = blocking else { return Ok(()) };
        Err(LookupError::Blocked {
            reference: Box::new(reference.clone()),
            prefix: registry.prefix.to_string(),
            path: Arc::clone(&registry.path),
        })
    }
}

impl Mirror {
    fn serves(&self, reference: &Reference) -> bool {
        match self.pulls {
            Pulls::All => true,
            Pulls::Digests => reference.digest().is_some(),
            Pulls::Tags => reference.digest().is_none(),
        }
    }
}

fn endpoint(reference: Reference, insecure: Option<bool>, is_mirror: bool) -> Endpoint {
    let insecure = insecure.unwrap_or_else(|| reference.is_loopback());
    Endpoint { reference, insecure, is_mirror }
}

/// The name at a location. Whatever the location says, a digest stays: it is what was asked for.
fn moved(
    wanted: &Reference,
    location: &Location,
    rest: &str,
    registry: &Registry,
) -> Result<Reference, LookupError> {
    let moved = location.name_of(rest).map_err(|(text, problem)| LookupError::Rewrite {
        reference: Box::new(wanted.clone()),
        text,
        problem,
        path: Arc::clone(&registry.path),
    })?;
    Ok(match wanted.digest() {
        Some(digest) => moved.with_digest(digest.clone()),
        None => moved.tagged_or_latest(),
    })
}

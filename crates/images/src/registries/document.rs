//! Reads one file of the configuration (containers-registries.conf(5), version 2).

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::ShortNameMode;
use super::error::{Fault, RegistriesError};
use super::prefix::{Location, Prefix};
use super::reader::{Reader, Result, Text, Value, Words, by_place, clipped};
use crate::reference::{self, Name, Reference, ShortName};

/// What one file says. What it does not say stays as earlier files left it.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) search: Option<Vec<String>>,
    pub(super) mode: Option<ShortNameMode>,
    pub(super) helpers: Option<Vec<String>>,
    pub(super) registries: Vec<Registry>,
    /// An alias that leads nowhere removes those of earlier files.
    pub(super) aliases: Vec<(String, Option<Reference>)>,
}

/// A `[[registry]]`.
#[derive(Clone, Debug)]
pub(super) struct Registry {
    pub(super) prefix: Prefix,
    /// Nothing if names are to be had where they say: a wildcard without a location.
    pub(super) location: Option<Location>,
    pub(super) insecure: Option<bool>,
    pub(super) blocked: bool,
    pub(super) mirrors: Vec<Mirror>,
    pub(super) path: Arc<Path>,
    line: usize,
}

/// A `[[registry.mirror]]`.
#[derive(Clone, Debug)]
pub(super) struct Mirror {
    pub(super) location: Location,
    pub(super) insecure: Option<bool>,
    pub(super) pulls: Pulls,
}

/// For which names a mirror is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulls {
    All,
    Digests,
    Tags,
}

const KEYS: Words = &[
    "unqualified-search-registries",
    "credential-helpers",
    "short-name-mode",
    "additional-layer-store-auth-helper",
    "registry",
    "aliases",
];
const ALIASES_ONLY: Words = &["aliases"];
const REGISTRY_KEYS: Words =
    &["prefix", "location", "insecure", "blocked", "mirror", "mirror-by-digest-only"];
const MIRROR_KEYS: Words = &["location", "insecure", "pull-from-mirror"];

/// Of mirrors only; people put it above them, too.
const PULL_FROM_MIRROR: &str = "pull-from-mirror";

/// Reads a registries.conf or a drop-in.
pub(super) fn read(path: &Path, text: &str) -> Result<Document> {
    document(path, text, KEYS)
}

/// Reads a short-name-aliases.conf.
pub(super) fn read_aliases(path: &Path, text: &str) -> Result<Document> {
    document(path, text, ALIASES_ONLY)
}

fn document(path: &Path, text: &str, keys: Words) -> Result<Document> {
    let reader = Reader::new(path, text);
    let table = DeTable::parse(text).map_err(|error| {
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        reader.error(error.span().unwrap_or_default(), None, Fault::Syntax(message))
    })?;
    let mut document = Document::default();
    for (name, value) in by_place(table.get_ref()) {
        if name.get_ref() == "registries" {
            let hint = "write unqualified-search-registries = [\"docker.io\"], and [[registry]] \
                        with location, insecure and blocked";
            return Err(reader.hinted(name.span(), name.get_ref(), Fault::VersionOne, hint));
        }
        reader.known("", keys, name)?;
        reader.top_level(&mut document, name.get_ref(), value)?;
    }
    Ok(document)
}

impl Reader {
    fn top_level(&self, document: &mut Document, key: &str, value: &Value<'_>) -> Result<()> {
        match key {
            "unqualified-search-registries" => {
                let hosts = self.strings(key, value)?;
                let hosts = hosts.into_iter().map(|(text, place)| self.host(key, text, place));
                document.search = Some(hosts.collect::<Result<_>>()?);
            }
            "credential-helpers" => {
                let names = self.strings(key, value)?;
                let names = names.into_iter().map(|(text, place)| self.helper(key, text, place));
                document.helpers = Some(names.collect::<Result<_>>()?);
            }
            "short-name-mode" => document.mode = self.mode(key, value)?,
            // Of storage that only other tools have.
            "additional-layer-store-auth-helper" => drop(self.string(key, value)?),
            "registry" => document.registries = self.registries(key, value)?,
            _ => document.aliases = self.aliases(key, value)?,
        }
        Ok(())
    }

    fn host(&self, key: &str, text: &str, place: Range<usize>) -> Result<String> {
        reference::host(text.trim_end_matches('/')).map_err(|problem| {
            let shown = text.chars().take(160).collect();
            self.error(place, Some(key), Fault::Location(shown, problem))
        })
    }

    /// A helper is the end of the name of a program, `docker-credential-NAME`, or
    /// `containers-auth.json`: no path.
    fn helper(&self, key: &str, text: &str, place: Range<usize>) -> Result<String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !text.is_empty() && text.len() <= 200 && text.bytes().all(plain) {
            return Ok(text.to_owned());
        }
        Err(self.error(place, Some(key), Fault::Helper(text.chars().take(160).collect())))
    }

    fn mode(&self, key: &str, value: &Value<'_>) -> Result<Option<ShortNameMode>> {
        const WORDS: Words = &["enforcing", "permissive", "disabled"];
        Ok(Some(match self.string(key, value)? {
            "" => return Ok(None),
            "enforcing" => ShortNameMode::Enforcing,
            "permissive" => ShortNameMode::Permissive,
            "disabled" => ShortNameMode::Disabled,
            other => return Err(self.word(key, value, other, WORDS)),
        }))
    }

    fn aliases(&self, key: &str, value: &Value<'_>) -> Result<Vec<(String, Option<Reference>)>> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.wrong_type(key, value, "a table"));
        };
        by_place(table).into_iter().map(|(name, value)| self.alias(name, value)).collect()
    }

    fn alias(
        &self,
        name: &Spanned<DeString<'_>>,
        value: &Value<'_>,
    ) -> Result<(String, Option<Reference>)> {
        let key = format!("aliases.{}", clipped(name.get_ref()));
        let fault = |place, fault| self.error(place, Some(&key), fault);
        let short: ShortName =
            name.get_ref().parse().map_err(|error| fault(name.span(), Fault::AliasName(error)))?;
        if short.tag().is_some() || short.digest().is_some() {
            return Err(fault(name.span(), Fault::AliasTag));
        }
        let text = self.string(&key, value)?;
        if text.is_empty() {
            return Ok((short.to_string(), None));
        }
        let invalid = |error| fault(value.span(), Fault::AliasValue(error));
        let target = match text.parse().map_err(invalid)? {
            Name::Qualified(target) => target,
            Name::Short(_) => return Err(fault(value.span(), Fault::AliasShort(clipped(text)))),
        };
        if target.tag().is_some() || target.digest().is_some() {
            return Err(fault(value.span(), Fault::AliasTag));
        }
        Ok((short.to_string(), Some(target)))
    }

    fn registries(&self, key: &str, value: &Value<'_>) -> Result<Vec<Registry>> {
        let mut prefixes: HashMap<Prefix, usize> = HashMap::new();
        let mut locations: HashMap<String, (usize, bool, bool)> = HashMap::new();
        let mut registries = Vec::new();
        for (table, place) in self.tables(key, value)? {
            let registry = self.registry(table, &place)?;
            let line = registry.line;
            if let Some(earlier) = prefixes.insert(registry.prefix.clone(), line) {
                let fault = Fault::Twice(registry.prefix.to_string(), earlier);
                return Err(self.error(place, Some(key), fault));
            }
            let (insecure, blocked) = (registry.insecure.unwrap_or_default(), registry.blocked);
            let location = registry.location.as_ref().map(Location::to_string);
            if let Some(location) = location {
                let first = *locations.entry(location.clone()).or_insert((line, insecure, blocked));
                let conflict = if first.1 != insecure {
                    Some("registry.insecure")
                } else {
                    (first.2 != blocked).then_some("registry.blocked")
                };
                if let Some(key) = conflict {
                    let fault = Fault::Conflict { location, line: first.0 };
                    return Err(self.error(place, Some(key), fault));
                }
            }
            registries.push(registry);
        }
        Ok(registries)
    }

    fn registry(&self, table: &DeTable<'_>, place: &Range<usize>) -> Result<Registry> {
        if let Some((name, _)) = table.get_key_value(PULL_FROM_MIRROR) {
            let key = format!("registry.{PULL_FROM_MIRROR}");
            return Err(self.error(name.span(), Some(&key), Fault::OfMirrors));
        }
        by_place(table)
            .iter()
            .try_for_each(|(name, _)| self.known("registry.", REGISTRY_KEYS, name))?;
        let parsed = |name: &str| self.text_of(table, "registry", name);
        let given = parsed("location")?
            .map(|given| Location::parse(given.text).map_err(|fault| self.wrong(&given, fault)))
            .transpose()?;
        let prefix = match (parsed("prefix")?, &given) {
            (Some(given), _) => {
                Prefix::parse(given.text).map_err(|fault| self.wrong(&given, fault))?
            }
            (None, Some(location)) => Prefix::Name(location.to_string()),
            (None, None) => {
                return Err(self.error(place.clone(), Some("registry"), Fault::NoPrefix));
            }
        };
        let digests_only = self.boolean_of(table, "registry", "mirror-by-digest-only")?;
        let digests_only = digests_only.unwrap_or_default();
        let mirrors = match table.get("mirror") {
            Some(mirrors) => self.mirrors(mirrors, digests_only)?,
            None => Vec::new(),
        };
        Ok(Registry {
            location: given.or_else(|| Location::of_prefix(&prefix)),
            prefix,
            insecure: self.boolean_of(table, "registry", "insecure")?,
            blocked: self.boolean_of(table, "registry", "blocked")?.unwrap_or_default(),
            mirrors,
            path: Arc::clone(&self.path),
            line: self.line(place.start),
        })
    }

    fn mirrors(&self, value: &Value<'_>, digests_only: bool) -> Result<Vec<Mirror>> {
        let key = "registry.mirror";
        let tables = self.tables(key, value)?;
        tables.into_iter().map(|(table, place)| self.mirror(table, place, digests_only)).collect()
    }

    fn mirror(
        &self,
        table: &DeTable<'_>,
        place: Range<usize>,
        digests_only: bool,
    ) -> Result<Mirror> {
        const PATH: &str = "registry.mirror";
        by_place(table)
            .iter()
            .try_for_each(|(name, _)| self.known("registry.mirror.", MIRROR_KEYS, name))?;
        let Some(given) = self.text_of(table, PATH, "location")? else {
            return Err(self.error(place, Some(PATH), Fault::NoLocation));
        };
        let location = Location::parse(given.text).map_err(|fault| self.wrong(&given, fault))?;
        let pulls = match self.text_of(table, PATH, PULL_FROM_MIRROR)? {
            Some(given) => self.pulls(&given, digests_only)?,
            None if digests_only => Pulls::Digests,
            None => Pulls::All,
        };
        Ok(Mirror { location, insecure: self.boolean_of(table, PATH, "insecure")?, pulls })
    }

    fn pulls(&self, given: &Text<'_>, digests_only: bool) -> Result<Pulls> {
        const WORDS: Words = &["all", "digest-only", "tag-only"];
        match given.text {
            _ if digests_only => Err(self.wrong(given, Fault::BothMirrorRules)),
            "all" => Ok(Pulls::All),
            "digest-only" => Ok(Pulls::Digests),
            "tag-only" => Ok(Pulls::Tags),
            other => Err(self.wrong(given, Fault::Word(clipped(other), WORDS))),
        }
    }

    fn wrong(&self, given: &Text<'_>, fault: Fault) -> RegistriesError {
        self.error(given.place.clone(), Some(&given.key), fault)
    }
}

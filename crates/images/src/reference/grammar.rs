//! The grammar of names, part by part (distribution's reference package; the repository and tag are
//! also in distribution-spec, "Pulling manifests").

use std::net::Ipv6Addr;

use super::error::{Part, Problem};
use super::{DOCKER_IO, LONGEST_NAME, LONGEST_TAG};
use crate::digest::Digest;

/// More than any name can have: name, tag and the longest digest with what separates them.
const LONGEST: usize = LONGEST_NAME + 1 + LONGEST_TAG + "@sha512:".len() + 128;

/// Docker Hub's name from the time when it was Docker's index.
const INDEX_DOCKER_IO: &str = "index.docker.io";

/// What a name consists of, before anything is added. Each part has been checked.
pub(super) struct Parts<'t> {
    pub(super) registry: Option<String>,
    pub(super) path: &'t str,
    pub(super) tag: Option<&'t str>,
    pub(super) digest: Option<Digest>,
}

/// Takes a name apart.
pub(super) fn parts(text: &str) -> Result<Parts<'_>, Problem> {
    whole(text)?;
    let (name, digest) = split_digest(text)?;
    let (registry, rest) = split_registry(name)?;
    let (path, tag) = split_tag(rest);
    tag.map_or(Ok(()), self::tag)?;
    self::path(path)?;
    Ok(Parts { registry, path, tag, digest })
}

/// What a `[[registry]]` of registries.conf may name: a registry, or a name below it, or a part of
/// the path (containers-registries.conf(5), "Choosing a [[registry]] TOML table"). Gives it with
/// the host in the one form that references have.
pub(crate) fn prefix(text: &str) -> Result<String, Problem> {
    let text = text.trim_end_matches('/');
    whole(text)?;
    let (name, _) = split_digest(text)?;
    let Some((first, rest)) = name.split_once('/') else { return host(text) };
    let host = host(first)?;
    let (path, tag) = split_tag(rest);
    tag.map_or(Ok(()), self::tag)?;
    self::path(path)?;
    Ok(format!("{host}{}", &text[first.len()..]))
}

/// What can be said without taking it apart. It comes first, so that nothing below works on more
/// than a line.
fn whole(text: &str) -> Result<(), Problem> {
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    if text.len() > LONGEST {
        return Err(Problem::TooLong { part: Part::Reference, most: LONGEST });
    }
    if let Some(character) = text.chars().find(|c| c.is_control() || c.is_whitespace()) {
        return Err(Problem::Character { part: Part::Reference, character });
    }
    if text.starts_with(['/', '~']) || [".", ".."].contains(&text.split('/').next().unwrap_or("")) {
        return Err(Problem::LooksLikePath);
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(Problem::Scheme(scheme.to_owned()));
    }
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    if hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(Problem::LooksLikeId);
    }
    Ok(())
}

fn split_digest(text: &str) -> Result<(&str, Option<Digest>), Problem> {
    let Some((name, digest)) = text.split_once('@') else { return Ok((text, None)) };
    Ok((name, Some(digest.parse().map_err(Problem::Digest)?)))
}

/// The registry, if the first component can be none but one, and what follows it.
fn split_registry(name: &str) -> Result<(Option<String>, &str), Problem> {
    let Some((first, rest)) = name.split_once('/') else {
        // A bare `localhost` or `example.com:80` is a path and a tag, to Docker, too.
        return if name.starts_with('[') { Err(Problem::NoRepository) } else { Ok((None, name)) };
    };
    if is_host(first) { Ok((Some(host(first)?), rest)) } else { Ok((None, name)) }
}

/// Whether a first component is a host rather than a part of the path. Docker also takes one with
/// an upper-case letter for a host; podman refuses such names, and so do we: they are misspelt
/// paths, and the host of such a name could not be written in lower case.
fn is_host(component: &str) -> bool {
    component.contains(['.', ':', '[', ']']) || component.eq_ignore_ascii_case("localhost")
}

/// The path and the tag. Without a colon in the last component there is none.
pub(super) fn split_tag(rest: &str) -> (&str, Option<&str>) {
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    match rest[last..].find(':') {
        Some(colon) => (&rest[..last + colon], Some(&rest[last + colon + 1..])),
        None => (rest, None),
    }
}

/// Checks a registry: a host that cannot be mistaken for a part of a path, with an optional port.
/// Gives its one form: lower case, and docker.io for all that is Docker Hub.
pub(crate) fn host(text: &str) -> Result<String, Problem> {
    if text.len() > LONGEST_NAME {
        return Err(Problem::TooLong { part: Part::Registry, most: LONGEST_NAME });
    }
    let lower = text.to_ascii_lowercase();
    if !is_host(&lower) {
        return Err(Problem::Host(lower));
    }
    let port = match lower.strip_prefix('[') {
        Some(rest) => bracketed(&lower, rest)?,
        None => {
            let (name, port) = match lower.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (lower.as_str(), None),
            };
            name.split('.').try_for_each(|label| self::label(&lower, label))?;
            port
        }
    };
    match port {
        Some(port) if !is_port(port) => Err(Problem::Port(port.to_owned())),
        _ if lower == INDEX_DOCKER_IO => Ok(DOCKER_IO.to_owned()),
        _ => Ok(lower),
    }
}

/// Checks an IPv6 address in brackets and gives its port. Zones (RFC 6874) and embedded IPv4
/// addresses are left out by the grammar.
fn bracketed<'t>(host: &str, rest: &'t str) -> Result<Option<&'t str>, Problem> {
    let invalid = || Problem::Address(host.to_owned());
    let (address, port) = rest.split_once(']').ok_or_else(invalid)?;
    if address.contains('.') || address.parse::<Ipv6Addr>().is_err() {
        return Err(invalid());
    }
    if port.is_empty() {
        return Ok(None);
    }
    port.strip_prefix(':').map(Some).ok_or_else(invalid)
}

fn label(host: &str, label: &str) -> Result<(), Problem> {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = label.as_bytes();
    let fits = bytes.first().is_some_and(plain)
        && bytes.last().is_some_and(plain)
        && bytes.iter().all(|byte| plain(byte) || *byte == b'-');
    if fits {
        return Ok(());
    }
    match label.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
        Some(character) => Err(Problem::Character { part: Part::Registry, character }),
        None => Err(Problem::Host(host.to_owned())),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse().is_ok_and(|port: u16| port != 0)
}

/// Checks the path of a repository.
pub(super) fn path(text: &str) -> Result<(), Problem> {
    if text.len() > LONGEST_NAME {
        return Err(Problem::TooLong { part: Part::Repository, most: LONGEST_NAME });
    }
    text.split('/').try_for_each(component)
}

fn component(text: &str) -> Result<(), Problem> {
    if text.is_empty() {
        return Err(Problem::EmptyComponent);
    }
    let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if let Some(character) = text.chars().find(|c| !fits(c)) {
        return Err(Problem::Character { part: Part::Repository, character });
    }
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(Problem::UpperCase);
    }
    let mut words = text.split(|c: char| c.is_ascii_alphanumeric());
    // What is left between letters and digits; at both ends it must be nothing.
    let ends =
        words.next().is_some_and(str::is_empty) && words.next_back().is_some_and(str::is_empty);
    let between =
        |run: &str| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|byte| byte == b'-');
    if ends && words.all(between) { Ok(()) } else { Err(Problem::Separators(text.to_owned())) }
}

/// Checks a tag.
pub(super) fn tag(text: &str) -> Result<(), Problem> {
    let Some(first) = text.chars().next() else { return Err(Problem::EmptyTag) };
    if text.len() > LONGEST_TAG {
        return Err(Problem::TooLong { part: Part::Tag, most: LONGEST_TAG });
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if let Some(character) = text.chars().find(|c| !word(*c) && !matches!(c, '.' | '-')) {
        return Err(Problem::Character { part: Part::Tag, character });
    }
    if word(first) { Ok(()) } else { Err(Problem::First { part: Part::Tag, character: first }) }
}

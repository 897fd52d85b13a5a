//! A kernel parameter: the first line of the input is the key, the rest the value.
//!
//! What is allowed stays below /proc/sys, is allowed only with a namespace of the container's own,
//! and no less with more of them.

use lxcri_linux::sysctl::{OwnNamespaces, check};

use crate::broken::{Outcome, holds};

pub(super) fn run(input: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
    let (key, value) = text.split_once('\n').unwrap_or((text, "1"));
    let allowed = |own| check(key, value, own).is_ok();
    let all = OwnNamespaces { ipc: true, network: true, uts: true };
    holds(!allowed(OwnNamespaces::default()), "nothing of the host is changed")?;
    let kinds = [
        OwnNamespaces { ipc: true, ..OwnNamespaces::default() },
        OwnNamespaces { network: true, ..OwnNamespaces::default() },
        OwnNamespaces { uts: true, ..OwnNamespaces::default() },
    ];
    let ways = kinds.into_iter().filter(|own| allowed(*own)).count();
    holds(ways == usize::from(allowed(all)), "a parameter belongs to one kind of namespace")?;
    if ways == 0 {
        return Ok(());
    }
    holds(stays_below(key), "a key leads below /proc/sys")?;
    holds(!value.is_empty() && value.len() <= 4095, "a value fits into a page")?;
    holds(!value.contains(['\n', '\0', '\r']), "a value is one line")
}

/// Whether the path of a key goes down only. The first separator decides what dots and slashes
/// mean (sysctl.d(5)).
fn stays_below(key: &str) -> bool {
    let first = key.chars().find(|c| matches!(c, '.' | '/'));
    let (separator, here, up) = match first {
        Some('/') => ('/', ".", ".."),
        _ => ('.', "/", "//"),
    };
    let mut parts = key.split(separator);
    let known = parts.next().is_some_and(|part| matches!(part, "net" | "fs" | "kernel"));
    known && parts.all(|part| !part.is_empty() && part != here && part != up)
}

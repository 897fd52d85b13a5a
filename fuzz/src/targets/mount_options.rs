//! Options of a mount, as in `mounts[].options`, here joined by commas.
//!
//! No word is lost: what the features document does not list is the filesystem's, in order and
//! unchanged. Saying everything twice says nothing new.

use lxcri_linux::mount::{KNOWN_OPTIONS, Options};

use crate::broken::{Outcome, holds, same};

pub(super) fn run(input: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
    let words = || text.split(',');
    let options = Options::parse(words());

    let is_foreign = |word: &str| !word.is_empty() && KNOWN_OPTIONS.binary_search(&word).is_err();
    let data: Vec<String> = options.data().map(joined).collect();
    let foreign: Vec<&str> = words().filter(|word| is_foreign(word)).collect();
    let kept: Vec<&str> = data.iter().map(String::as_str).filter(|w| is_foreign(w)).collect();
    same(&kept, &foreign, "the filesystem gets every word that is not ours")?;
    let first = foreign.first().copied();
    same(&options.unknown_for_bind(), &first, "a bind mount names the first unknown word")?;

    for attributes in [options.attributes(), options.recursive_attributes()] {
        holds(attributes.set & !attributes.clear == 0, "a bit is set without being cleared first")?;
    }
    let twice = Options::parse(words().chain(words()));
    same(&twice.attributes(), &options.attributes(), "twice is as once")?;
    same(&twice.recursive_attributes(), &options.recursive_attributes(), "twice is as once")?;
    same(&twice.propagation(), &options.propagation(), "twice is as once")?;
    same(&twice.bind(), &options.bind(), "twice is as once")
}

fn joined((key, value): (&str, Option<&str>)) -> String {
    value.map_or_else(|| key.to_owned(), |value| format!("{key}={value}"))
}

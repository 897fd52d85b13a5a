//! Which provider it is.

use std::io::Write as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{PROVIDERS, Place, Provider, RootfsError, Unavailable, provider, record};

/// The word that leaves the choice to us.
const AUTO: &str = "auto";
const REMEMBERED: &str = "chosen.json";

/// A provider and whether it works.
#[derive(Debug)]
pub struct Found {
    /// Its name.
    pub name: &'static str,
    /// Or why not.
    pub works: Result<(), Unavailable>,
}

/// What a setting came to. A probe costs milliseconds, and its answer holds until the kernel changes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Chosen {
    schema: u32,
    boot_id: String,
    setting: String,
    mapped: bool,
    dataset: Option<String>,
    provider: String,
}

/// All providers with what they say about the place; with `mapped`, for containers in user
/// namespaces.
pub fn probe_all(place: &Place, mapped: bool) -> Vec<Found> {
    let probe = |provider: &'static dyn Provider| Found {
        name: provider.name(),
        works: provider.probe(place, mapped),
    };
    PROVIDERS.into_iter().map(probe).collect()
}

/// The provider that `setting` names, or for `auto` the first that works: overlay, btrfs, zfs, copy.
/// That it works is remembered until the next boot.
///
/// # Errors
/// One that is named and cannot work is an error; another never takes its place.
pub fn choose(
    setting: &str,
    place: &Place,
    mapped: bool,
) -> Result<&'static dyn Provider, RootfsError> {
    let mut choice = Chosen {
        schema: 1,
        boot_id: record::boot_id()?,
        setting: setting.to_owned(),
        mapped,
        dataset: place.dataset.as_ref().map(ToString::to_string),
        provider: String::new(),
    };
    if let Some(remembered) = remembered(place, &mut choice) {
        return Ok(remembered);
    }
    let found = if setting == AUTO {
        first_that_works(place, mapped)?
    } else {
        let unknown = || RootfsError::UnknownProvider { name: setting.to_owned() };
        let named = provider(setting).ok_or_else(unknown)?;
        named.probe(place, mapped)?;
        named
    };
    found.name().clone_into(&mut choice.provider);
    remember(place, &choice);
    Ok(found)
}

fn first_that_works(place: &Place, mapped: bool) -> Result<&'static dyn Provider, RootfsError> {
    let mut reasons = Vec::new();
    for one in PROVIDERS {
        match one.probe(place, mapped) {
            Ok(()) => return Ok(one),
            Err(unavailable) => reasons.push(unavailable.to_string()),
        }
    }
    Err(RootfsError::None { reasons })
}

fn path(place: &Place) -> PathBuf {
    place.root.join(REMEMBERED)
}

/// The earlier answer to the same question.
fn remembered(place: &Place, question: &mut Chosen) -> Option<&'static dyn Provider> {
    let bytes = std::fs::read(path(place)).ok()?;
    let answer: Chosen = serde_json::from_slice(&bytes).ok()?;
    question.provider.clone_from(&answer.provider);
    let found = provider(&answer.provider)?;
    (*question == answer).then_some(found)
}

/// Only spares the next one work: where it cannot be written, it is not.
fn remember(place: &Place, choice: &Chosen) {
    let temporary = place.root.join(format!(".{REMEMBERED}.{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(choice)?)?;
        std::fs::rename(&temporary, path(place))
    };
    if let Err(error) = write() {
        log::debug!("cannot remember the rootfs provider: {error}");
    }
}

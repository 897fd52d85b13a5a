//! Which image of several.

use super::{ArchiveError, Job};
use crate::digest::Digest;
use crate::document::{Descriptor, Index};
use crate::store::REF_NAME;

/// The annotation by which containerd and Docker give the full name, where `ref.name` has only the
/// tag (containerd, images/annotations.go).
pub(super) const FULL_NAME: &str = "io.containerd.image.name";

/// The entry of a layout's index that was asked for, or the only one.
pub(super) fn from_index(job: &Job<'_>, index: &Index) -> Result<Descriptor, ArchiveError> {
    let Some(wanted) = job.image else { return only(job, index) };
    let all = &index.manifests;
    let mut found: Vec<Descriptor> =
        all.iter().filter(|entry| is_called(entry, wanted)).cloned().collect();
    found.dedup_by(|one, other| one.digest == other.digest);
    match found.len() {
        0 => Err(no_image(job, wanted, index)),
        1 => Ok(found.remove(0)),
        // A name may stand for several, one for each platform.
        _ => for_platform(job, &found).cloned(),
    }
}

fn only(job: &Job<'_>, index: &Index) -> Result<Descriptor, ArchiveError> {
    let all = &index.manifests;
    let Some(first) = all.first() else {
        return Err(job.refuse("it has no image"));
    };
    if all.iter().all(|entry| entry.digest == first.digest) {
        return Ok(first.clone());
    }
    if all.iter().all(|entry| title(entry) == title(first) && entry.platform.is_some()) {
        return for_platform(job, all).cloned();
    }
    Err(ArchiveError::Several { archive: job.archive.clone(), names: titles(index) })
}

/// The entry for the platform that is wanted.
pub(super) fn for_platform<'e>(
    job: &Job<'_>,
    entries: &'e [Descriptor],
) -> Result<&'e Descriptor, ArchiveError> {
    let index = Index { manifests: entries.to_vec(), ..Index::empty() };
    let chosen = index.select(job.platform).map(|entry| entry.digest.clone());
    let entry = chosen.and_then(|digest| entries.iter().find(|entry| entry.digest == digest));
    entry.ok_or_else(|| {
        let platforms = entries.iter().filter_map(|entry| entry.platform.as_ref());
        ArchiveError::NoPlatform {
            archive: job.archive.clone(),
            wanted: job.platform.to_string(),
            offered: platforms.map(ToString::to_string).collect(),
        }
    })
}

/// What a layout calls a manifest.
pub(super) fn names_with_digest(index: &Index, digest: &Digest) -> Vec<String> {
    let entries = index.manifests.iter().filter(|entry| entry.digest == *digest);
    let mut names: Vec<String> = entries.filter_map(title).map(ToOwned::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

fn is_called(entry: &Descriptor, wanted: &str) -> bool {
    let names = [REF_NAME, FULL_NAME].map(|key| entry.annotations.get(key));
    let has_name = |name: &String| name == wanted || is_same(name, wanted);
    names.into_iter().flatten().any(has_name) || entry.digest.to_string() == wanted
}

fn title(entry: &Descriptor) -> Option<&str> {
    let annotations = &entry.annotations;
    annotations.get(FULL_NAME).or_else(|| annotations.get(REF_NAME)).map(String::as_str)
}

fn titles(index: &Index) -> Vec<String> {
    let name = |entry: &Descriptor| title(entry).map_or(entry.digest.to_string(), String::from);
    index.manifests.iter().map(name).collect()
}

fn no_image(job: &Job<'_>, wanted: &str, index: &Index) -> ArchiveError {
    let (archive, wanted) = (job.archive.clone(), wanted.to_owned());
    ArchiveError::NoImage { archive, wanted, names: titles(index) }
}

/// Whether two names are one to Docker, which leaves out what is its default.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    full(one) == full(other)
}

fn full(name: &str) -> String {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains([':', '@']) { name.to_owned() } else { format!("{name}:latest") }
}

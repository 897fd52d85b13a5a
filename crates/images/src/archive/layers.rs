//! Copying layers into the store, several at a time.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::compression::Compression;
use super::content::{Content, Shelf};
use super::{ArchiveError, Job};
use crate::digest::Digest;
use crate::document::{Descriptor, media_type};
use crate::progress::Stage;

/// More threads than this gain nothing: the disk is the limit.
const MOST_THREADS: usize = 4;

/// A layer of an archive.
pub(super) struct Layer {
    /// The member's name.
    pub(super) name: String,
    /// What it must be; not known of a compressed layer in a docker-archive.
    pub(super) wanted: Option<Descriptor>,
    /// The digest of its plain tar.
    pub(super) diff_id: Digest,
}

/// Copies all, the lowest first, and tells of each as soon as it is whole.
pub(super) fn copy(
    job: &Job<'_>,
    shelf: &dyn Shelf,
    layers: &[Layer],
) -> Result<Vec<(Descriptor, Digest)>, ArchiveError> {
    let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let results = Mutex::new(Vec::new());
    let work = || {
        while !has_failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(layer) = layers.get(number) else { return };
            let result = copy_one(job, shelf, layer);
            match &result {
                Ok(descriptor) => (job.listeners.on_layer)(number, descriptor, &layer.diff_id),
                Err(_) => has_failed.store(true, Ordering::Relaxed),
            }
            results.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 1..processors.min(MOST_THREADS).min(layers.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    results
        .into_iter()
        .zip(layers)
        .map(|((_, result), layer)| Ok((result?, layer.diff_id.clone())))
        .collect()
}

fn copy_one(job: &Job<'_>, shelf: &dyn Shelf, layer: &Layer) -> Result<Descriptor, ArchiveError> {
    // A layer that is in the store already need not be in the archive.
    if let Some(wanted) = &layer.wanted
        && job.hold.store().size_of(&wanted.digest) == Some(wanted.size)
    {
        let progress = job.listeners.progress;
        let task = progress.begin(Stage::Import, wanted.digest.short(), Some(wanted.size));
        task.end(crate::progress::Ended::Present);
        return Ok(wanted.clone());
    }
    let content = job.find(shelf, &layer.name)?;
    let wanted = match &layer.wanted {
        Some(wanted) => Some(wanted.clone()),
        None => known(job, layer, &content)?,
    };
    let short = wanted.as_ref().map_or_else(|| layer.diff_id.short(), |w| w.digest.short());
    let task = job.listeners.progress.begin(Stage::Import, short, Some(content.size()));
    let placed = job.place(&content, wanted.as_ref(), task).map_err(job.member(&layer.name))?;
    match wanted {
        Some(wanted) => Ok(wanted),
        None => {
            let kind = compression(job, layer, &content)?.layer_type();
            Ok(Descriptor::new(kind, placed.0, placed.1))
        }
    }
}

/// A plain layer has the digest that the configuration says; of a compressed one nobody knows.
fn known(
    job: &Job<'_>,
    layer: &Layer,
    content: &Content,
) -> Result<Option<Descriptor>, ArchiveError> {
    let compression = compression(job, layer, content)?;
    Ok((compression == Compression::Plain)
        .then(|| Descriptor::new(media_type::LAYER, layer.diff_id.clone(), content.size())))
}

fn compression(
    job: &Job<'_>,
    layer: &Layer,
    content: &Content,
) -> Result<Compression, ArchiveError> {
    let head = content.head(job.hold).map_err(job.member(&layer.name))?;
    Compression::of(&head).map_err(|name| {
        job.refuse(&format!("{:?} is compressed with {name}, which no layer is", layer.name))
    })
}

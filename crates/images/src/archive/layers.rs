//! Copying layers into the store, several at a time.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::{Mutex, PoisonError};

use super::content::{Content, Shelf};
use super::{ArchiveError, Job};
use crate::digest::Digest;
use crate::document::{Descriptor, media_type};
use crate::layer::Compression;
use crate::parallel;
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
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let copied = Mutex::new(BTreeMap::new());
    parallel::each(layers, processors.min(MOST_THREADS), |number, layer, _| {
        let descriptor = copy_one(job, shelf, layer)?;
        (job.listeners.on_layer)(number, &descriptor, &layer.diff_id);
        let mut copied = copied.lock().unwrap_or_else(PoisonError::into_inner);
        copied.insert(number, (descriptor, layer.diff_id.clone()));
        Ok::<(), ArchiveError>(())
    })?;
    Ok(copied.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect())
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
    Compression::by_magic(&head).map_err(|name| {
        job.refuse(&format!("{:?} is compressed with {name}, which no layer is", layer.name))
    })
}

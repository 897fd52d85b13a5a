//! `push`: from the store to a registry.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::rc::Rc;

use crate::digest::Digest;
use crate::document::Descriptor;
use crate::parallel;
use crate::progress::{Ended, Progress, Stage, Task};
use crate::pull::{label, repository};
use crate::reference::Reference;
use crate::registries::{LookupError, Registries};
use crate::registry::{self, Client, Pushed, Repository};
use crate::store::{Hold, Image, StoreError};

/// Why an image could not be pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// registries.conf does not let the name through.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The registry, or the way to it.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PushError {
    /// What the user can do about it, a line each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Lookup(error) => error.hints(),
            Self::Registry(error) => error.hints(),
            Self::Store(error) => error.hints(),
        }
    }
}

/// What is pushed, and where to.
#[derive(Debug)]
pub struct Push<'a> {
    /// The name it gets there, with a tag.
    pub reference: &'a Reference,
    /// What is insecure, and what is blocked.
    pub registries: &'a Registries,
    /// The client.
    pub client: &'a Client,
    /// How many blobs go at once.
    pub uploads: usize,
}

/// Pushes an image: blobs first, what the registry has already is left out; the manifest, byte for
/// byte as it is in the store, last. Gives the manifest's digest.
///
/// # Errors
/// The registry's. Blobs that it has taken stay there until it collects its garbage.
pub fn push(
    hold: &Hold,
    image: &Image,
    push: &Push<'_>,
    progress: &dyn Progress,
) -> Result<Digest, PushError> {
    let endpoint = push.registries.push_endpoint(push.reference)?;
    let repository = repository(&endpoint)?;
    let contents = hold.store().contents(&image.manifest)?;
    let mut blobs: Vec<&Descriptor> = contents.layers.iter().chain([&contents.config]).collect();
    blobs.sort_by(|one, other| other.size.cmp(&one.size).then(one.digest.cmp(&other.digest)));
    blobs.dedup_by(|one, other| one.digest == other.digest);
    parallel::each(&blobs, push.uploads, |_, blob, _| {
        push_blob(hold, push.client, &repository, blob, progress)
    })?;
    let manifest = hold.store().document(&image.manifest)?;
    let label = label(&endpoint.reference);
    Ok(push.client.push_manifest(&repository, &label, &image.manifest.media_type, &manifest)?)
}

fn push_blob(
    hold: &Hold,
    client: &Client,
    repository: &Repository,
    blob: &Descriptor,
    progress: &dyn Progress,
) -> Result<(), PushError> {
    let task = progress.begin(Stage::Push, blob.digest.short(), Some(blob.size));
    let sent = Rc::new(RefCell::new(Sent { task: Some(task), furthest: 0 }));
    // Opened once, so that what is missing is told in the store's words.
    let file = hold.store().open_blob(&blob.digest)?;
    let mut open = || -> io::Result<Box<dyn Read>> {
        let mut again = file.try_clone()?;
        again.rewind()?;
        Ok(Box::new(Counted { file: again, at: 0, sent: Rc::clone(&sent) }))
    };
    let pushed = client.push_blob(repository, blob, None, &mut open)?;
    if let Some(task) = sent.borrow_mut().task.take() {
        task.end(if pushed == Pushed::Sent { Ended::Done } else { Ended::Present });
    }
    Ok(())
}

/// How far a blob has come. One that is sent anew is told of again where it was not yet.
struct Sent {
    task: Option<Box<dyn Task>>,
    furthest: u64,
}

/// A blob on its way.
struct Counted {
    file: File,
    at: u64,
    sent: Rc<RefCell<Sent>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.at += u64::try_from(count).unwrap_or(0);
        let sent = &mut *self.sent.borrow_mut();
        if let Some(task) = sent.task.as_mut().filter(|_| self.at > sent.furthest) {
            task.advance(self.at - sent.furthest);
            sent.furthest = self.at;
        }
        Ok(count)
    }
}

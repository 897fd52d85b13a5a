//! From a source to an image in the store whose layers are unpacked: each layer is unpacked while
//! the others are still on their way.

use std::num::NonZero;
use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};

use super::Library;
use crate::archive::{self, ArchiveError, Imported, Listeners, Origin, Request, Transport};
use crate::digest::Digest;
use crate::document::{Descriptor, Platform};
use crate::layer::{Blob, CacheError, Compression, Layer, Layers, Workers};
use crate::progress::{Progress, Stage};
use crate::pull::{self, Pull, PullError};
use crate::store::{Hold, StoreError};

/// Where an image comes from.
#[derive(Debug)]
pub enum Bring<'a> {
    /// A registry.
    Pull(Pull<'a>),
    /// An archive or directory.
    Import {
        /// How it is packed.
        transport: Transport,
        /// Where it is; `-` is standard input.
        path: &'a Path,
        /// Which image of it.
        image: Option<&'a str>,
        /// Which platform.
        platform: &'a Platform,
    },
}

/// What came.
pub type Brought = Imported;

/// Why nothing came.
#[derive(Debug, thiserror::Error)]
pub enum BringError {
    /// From a registry.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// From an archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A layer that cannot be unpacked.
    #[error(transparent)]
    Layer(#[from] CacheError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BringError {
    /// What the user can do about it, a line each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Pull(error) => error.hints(),
            Self::Archive(error) => error.hints(),
            Self::Layer(error) => error.hints(),
            Self::Store(error) => error.hints(),
        }
    }
}

impl Library {
    /// Brings an image into the store, still without a name, and unpacks its layers.
    ///
    /// # Errors
    /// Whole blobs, beginnings of blobs and whole unpacked layers stay for the next try.
    pub fn bring(
        &self,
        hold: &Hold,
        bring: &Bring<'_>,
        progress: &dyn Progress,
    ) -> Result<Brought, BringError> {
        let layers = self.layers()?;
        let workers = self.start_workers();
        let unpack = Unpack { hold, layers: &layers, workers: &workers, progress };
        unpack.while_coming(|on_layer| {
            let listeners = Listeners { progress, on_layer };
            match bring {
                Bring::Pull(pull) => Ok(pull::pull(hold, pull, listeners)?),
                Bring::Import { transport, path, image, platform } => {
                    let origin = if *path == Path::new("-") {
                        Origin::Stream(Box::new(std::io::stdin()))
                    } else {
                        Origin::Path(path)
                    };
                    let request =
                        Request { transport: *transport, origin, image: *image, platform };
                    Ok(archive::import(hold, request, listeners)?)
                }
            }
        })
    }

    /// The unpacked layers of an image that is in the store, lowest first; those that are not ready
    /// are unpacked now.
    ///
    /// # Errors
    /// A layer that cannot be unpacked, or whose blob is missing.
    pub fn unpacked(
        &self,
        hold: &Hold,
        layers: &[(Descriptor, Digest)],
        progress: &dyn Progress,
    ) -> Result<Vec<Layer>, BringError> {
        let cache = self.layers()?;
        let ready = || layers.iter().map(|(_, diff_id)| cache.get(diff_id)).collect();
        if let Some(ready) = ready() {
            return Ok(ready);
        }
        let workers = self.start_workers();
        let unpack = Unpack { hold, layers: &cache, workers: &workers, progress };
        unpack.while_coming(|on_layer| {
            for (number, (descriptor, diff_id)) in layers.iter().enumerate() {
                on_layer(number, descriptor, diff_id);
            }
            Ok(())
        })?;
        layers.iter().map(|(descriptor, diff_id)| unpack.layer(descriptor, diff_id)).collect()
    }
}

/// Unpacks what comes.
struct Unpack<'a> {
    hold: &'a Hold,
    layers: &'a Layers,
    workers: &'a Workers,
    progress: &'a dyn Progress,
}

impl Unpack<'_> {
    /// Runs `coming`, and unpacks each layer that it tells of at once. Ends when all is done.
    fn while_coming<T>(
        &self,
        coming: impl FnOnce(&(dyn Fn(usize, &Descriptor, &Digest) + Sync)) -> Result<T, BringError>,
    ) -> Result<T, BringError> {
        let (sender, receiver) = mpsc::channel::<(Descriptor, Digest)>();
        let receiver = Mutex::new(receiver);
        let failure = Mutex::new(None);
        let work = || {
            loop {
                let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok((descriptor, diff_id)) = next else { return };
                if let Err(error) = self.layer(&descriptor, &diff_id) {
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
        };
        let came = std::thread::scope(|scope| {
            // More than there are workers: who waits lets the largest go first.
            for _ in 0..4 * std::thread::available_parallelism().map_or(1, NonZero::get) {
                scope.spawn(work);
            }
            let came = coming(&|_, descriptor, diff_id| {
                // Nobody listens any more only where a thread has panicked.
                let _ = sender.send((descriptor.clone(), diff_id.clone()));
            });
            drop(sender);
            came
        })?;
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(came),
        }
    }

    fn layer(&self, descriptor: &Descriptor, diff_id: &Digest) -> Result<Layer, BringError> {
        if let Some(layer) = self.layers.get(diff_id) {
            return Ok(layer);
        }
        let open = || {
            Ok(Blob {
                file: self.hold.store().open_blob(&descriptor.digest)?,
                // Verified when it came, but a power cut may have been since.
                digest: None,
                compression: Compression::of_media_type(&descriptor.media_type),
            })
        };
        let mut task =
            self.progress.begin(Stage::Unpack, descriptor.digest.short(), Some(descriptor.size));
        let layer = self.layers.make(diff_id, self.workers, &open, task.as_mut())?;
        task.end(crate::progress::Ended::Done);
        Ok(layer)
    }
}

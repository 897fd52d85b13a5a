//! What may go: blobs, unpacked layers and golden trees that no image and no container needs.

use std::collections::BTreeSet;

use super::Library;
use crate::container::{self, ContainerError, Record};
use crate::digest::Digest;
use crate::layer::CacheError;
use crate::rootfs::{self, RootfsError};
use crate::store::{PruneOptions, Pruned, Removed, StoreError};

/// Why something could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum TidyError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Unpacked layers.
    #[error(transparent)]
    Layer(#[from] CacheError),
    /// Golden trees, or what containers are made of.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// Containers are made of the image.
    #[error("image {image} is used by {}", containers.join(", "))]
    InUse {
        /// Its name or id.
        image: String,
        /// The containers, at least one.
        containers: Vec<String>,
    },
    /// What containers use cannot be told.
    #[error(transparent)]
    Container(#[from] ContainerError),
}

impl TidyError {
    /// What the user can do about it, a line each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Store(error) => error.hints(),
            Self::Layer(error) => error.hints(),
            Self::Rootfs(error) => error.hints(),
            Self::InUse { containers, .. } => vec![
                format!("`proxmox-lxcri delete {}` removes the container", containers.join(" ")),
                "--force removes the image's names and keeps what containers need".to_owned(),
            ],
            Self::Container(error) => error.hints(),
        }
    }
}

/// What was removed.
#[derive(Clone, Debug, Default)]
pub struct Tidied {
    /// Of the store.
    pub pruned: Pruned,
    /// Unpacked layers, by diff_id.
    pub layers: Vec<Digest>,
    /// Golden trees, by chain id.
    pub golden: Vec<Digest>,
}

impl Library {
    /// The manifests of the images that containers were made of.
    ///
    /// # Errors
    /// A container's record that cannot be read.
    pub fn in_use(&self) -> Result<BTreeSet<Digest>, ContainerError> {
        let records = container::records(&self.containers())?;
        Ok(records.into_iter().map(|record| record.manifest).collect())
    }

    /// Removes an image by name or id, and what only it needed.
    ///
    /// # Errors
    /// As [`crate::store::Store::remove`].
    pub fn remove_image(&self, text: &str, force: bool) -> Result<Removed, TidyError> {
        let store = self.store()?;
        let removed = store
            .remove(text, force, &|| self.in_use().map_err(Into::into))
            .map_err(|error| self.with_containers(error, text))?;
        if removed.image.is_some() && !removed.is_postponed {
            self.tidy(&|| ())?;
        }
        Ok(removed)
    }

    /// Says which containers, where that is why an image stays.
    fn with_containers(&self, error: StoreError, text: &str) -> TidyError {
        let StoreError::InUse { image } = error else { return error.into() };
        let found = self.store().and_then(|store| store.resolve(text));
        let records = container::records(&self.containers()).unwrap_or_default();
        let uses = |record: &&Record| {
            found.as_ref().is_ok_and(|found| found.manifest.digest == record.manifest)
        };
        let containers: Vec<String> =
            records.iter().filter(uses).map(|record| record.id.to_string()).collect();
        if containers.is_empty() {
            // Gone since.
            return StoreError::InUse { image }.into();
        }
        TidyError::InUse { image, containers }
    }

    /// Removes whatever nobody needs. Waits until no image is being pulled and no container made;
    /// `waiting` is called where that is not so at first.
    ///
    /// # Errors
    /// What is in use cannot be told: then nothing is removed. The kernel's: then some is.
    pub fn prune(&self, options: PruneOptions, waiting: &dyn Fn()) -> Result<Tidied, TidyError> {
        let store = self.store()?;
        let pruned = store.prune(options, &|| self.in_use().map_err(Into::into), waiting)?;
        let (layers, golden) = self.tidy(waiting)?;
        Ok(Tidied { pruned, layers, golden })
    }

    /// Removes unpacked layers and golden trees.
    fn tidy(&self, waiting: &dyn Fn()) -> Result<(Vec<Digest>, Vec<Digest>), TidyError> {
        let (store, place, cache) = (self.store()?, self.place()?, self.layers()?);
        // While it lives nobody unpacks a layer for an image that has no name yet.
        let _collecting = store.collect(waiting)?;
        let mut needed = BTreeSet::new();
        let mut chains = BTreeSet::new();
        for image in store.images()? {
            // What a damaged image needs has to be fetched again anyway.
            let Ok(contents) = image.contents else { continue };
            let diff_ids = contents.image_config.rootfs.diff_ids;
            chains.insert(rootfs::chain_id(&diff_ids));
            needed.extend(diff_ids);
        }
        for record in rootfs::records(&place)? {
            needed.extend(record.layers.into_iter().map(|layer| layer.diff_id));
        }
        let mut removed = Vec::new();
        for layer in cache.list()?.into_iter().filter(|layer| !needed.contains(&layer.diff_id)) {
            cache.remove(&layer.diff_id)?;
            removed.push(layer.diff_id);
        }
        // What killed processes left of layers that nobody unpacks any more.
        cache.sweep()?;
        Ok((removed, rootfs::prune(&place, &chains)?))
    }
}

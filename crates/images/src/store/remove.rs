//! Removing one image.

use std::collections::BTreeSet;

use lxcri_linux::step::Step as _;

use super::index::{name_of, take_name};
use super::prune::InUse;
use super::{Image, Store, StoreError};
use crate::digest::Digest;
use crate::step::{IndexSteps, Step};

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// The names that are gone.
    pub names: Vec<String>,
    /// The image, where it went with its last name.
    pub image: Option<Digest>,
    /// The blobs that are gone.
    pub blobs: Vec<Digest>,
    /// Their bytes.
    pub bytes: u64,
    /// Somebody pulls or makes a container right now, so the image has lost its names only, and
    /// the next prune removes the rest.
    pub is_postponed: bool,
}

impl Store {
    /// Removes an image by name or id, with all blobs that nothing else needs. A name that is not
    /// the last is all that is removed. With `force` all names of an id are removed, and the names
    /// of an image that containers use, whose content then stays.
    ///
    /// # Errors
    /// No such image, or several; a container uses it; several names and not `force`; what
    /// containers use cannot be told; the kernel's.
    pub fn remove(
        &self,
        text: &str,
        force: bool,
        in_use: InUse<'_>,
    ) -> Result<Removed, StoreError> {
        let collecting = self.try_collect()?;
        let image = self.resolve(text)?;
        let by_name = image.names.iter().any(|name| name == text);
        if by_name && image.names.len() > 1 {
            self.untag(text)?;
            return Ok(Removed { names: vec![text.to_owned()], ..Removed::default() });
        }
        if image.names.len() > 1 && !force {
            let Image { names, .. } = &image;
            let (image, names) = (image.id().short().to_owned(), names.clone());
            return Err(StoreError::SeveralNames { image, names });
        }
        let used = in_use().map_err(|source| StoreError::UsersUnknown { source })?;
        let is_used = used.iter().any(|digest| image.has_digest(digest));
        if is_used && !force {
            return Err(StoreError::InUse { image: image.title().to_owned() });
        }
        // Without a name it waits for the prune that may look at what it needs.
        let stays = is_used || collecting.is_none();
        self.forget(&image, stays)?;
        let mut removed = Removed { names: image.names.clone(), ..Removed::default() };
        if stays {
            removed.is_postponed = !is_used;
            return Ok(removed);
        }
        self.sweep_image(&image, &used, &mut removed)?;
        Ok(removed)
    }

    /// Takes the names, or the image with them, out of the index.
    fn forget(&self, image: &Image, stays: bool) -> Result<(), StoreError> {
        self.change(IndexSteps::REMOVE, |entries| {
            let names: Vec<String> = entries
                .iter()
                .filter(|entry| entry.digest == image.manifest.digest)
                .filter_map(|entry| name_of(entry).map(ToOwned::to_owned))
                .collect();
            for name in names {
                take_name(entries, &name);
            }
            if !stays {
                entries.retain(|entry| entry.digest != image.manifest.digest);
            }
            Ok(())
        })
    }

    /// Removes the blobs of an image that the index knows no more. The caller has the right to.
    fn sweep_image(
        &self,
        image: &Image,
        used: &BTreeSet<Digest>,
        removed: &mut Removed,
    ) -> Result<(), StoreError> {
        let own = self.reach(std::slice::from_ref(&image.manifest)).blobs;
        let needed = self.reach(&self.entries()?).blobs;
        let used = self.reach_used(used).blobs;
        removed.image = Some(image.id().clone());
        for digest in own.into_keys() {
            if needed.contains_key(&digest) || used.contains_key(&digest) {
                continue;
            }
            let Some(size) = self.size_of(&digest) else { continue };
            super::ingest::remove_present(&self.blob_path(&digest))?;
            Step::RemoveBlob.reached();
            removed.bytes = removed.bytes.saturating_add(size);
            removed.blobs.push(digest);
        }
        Ok(())
    }
}

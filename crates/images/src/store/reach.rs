//! What is needed: the blobs that entries of the index and containers lead to.

use std::collections::{BTreeMap, BTreeSet};

use super::{Store, StoreError};
use crate::digest::Digest;
use crate::document::{Descriptor, Index, MAX_DOCUMENT, Manifest, media_type};

/// An index that other tools put into the store may lead to further ones, but not for ever.
const DEEPEST: usize = 4;

/// What some descriptors lead to.
#[derive(Debug, Default)]
pub(super) struct Reached {
    /// Every blob, with the descriptor that says how large it is.
    pub(super) blobs: BTreeMap<Digest, Descriptor>,
    /// Documents that could not be read, so that nobody knows what they lead to.
    pub(super) unread: Vec<(Digest, StoreError)>,
}

impl Store {
    /// Follows descriptors to everything they need.
    pub(super) fn reach(&self, roots: &[Descriptor]) -> Reached {
        let mut reached = Reached::default();
        for root in roots {
            self.follow(root, DEEPEST, &mut reached);
        }
        reached
    }

    /// What containers use, and what that leads to where it is a manifest.
    pub(super) fn reach_used(&self, used: &BTreeSet<Digest>) -> Reached {
        let mut reached = Reached::default();
        for digest in used {
            let Some(size) = self.size_of(digest) else { continue };
            let root = Descriptor::new(media_type::MANIFEST, digest.clone(), size);
            if size <= MAX_DOCUMENT {
                self.follow(&root, DEEPEST, &mut reached);
            }
            reached.blobs.insert(digest.clone(), root);
        }
        reached
    }

    fn follow(&self, entry: &Descriptor, deeper: usize, reached: &mut Reached) {
        if reached.blobs.insert(entry.digest.clone(), entry.clone()).is_some() {
            return;
        }
        match self.parts(entry) {
            Ok(Parts::Blobs(blobs)) => {
                let blobs = blobs.into_iter().map(|blob| (blob.digest.clone(), blob));
                reached.blobs.extend(blobs);
            }
            Ok(Parts::Manifests(entries)) if deeper > 0 => {
                // Of an index only some platforms need be here.
                for entry in entries.iter().filter(|entry| self.contains(&entry.digest)) {
                    self.follow(entry, deeper - 1, reached);
                }
            }
            Ok(Parts::Manifests(_)) => {}
            Err(error) => reached.unread.push((entry.digest.clone(), error)),
        }
    }

    fn parts(&self, entry: &Descriptor) -> Result<Parts, StoreError> {
        let bytes = self.document(entry)?;
        let what = entry.digest.to_string();
        if [media_type::INDEX, media_type::DOCKER_INDEX].contains(&entry.media_type.as_str()) {
            return Ok(Parts::Manifests(Index::parse(&what, &bytes)?.manifests));
        }
        let Manifest { config, mut layers, .. } = Manifest::parse(&what, &bytes)?;
        layers.push(config);
        Ok(Parts::Blobs(layers))
    }
}

/// What a document points to.
enum Parts {
    Blobs(Vec<Descriptor>),
    Manifests(Vec<Descriptor>),
}

//! What this layer has made among the files of lower layers: an opaque directory and a whiteout hide
//! those of lower layers only, wherever in the layer they stand (image-spec layer.md, "Whiteouts").

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::BorrowedFd;

/// Names by their directory. Only hashes are kept, of 8 bytes, with a key that nobody knows: 5
/// million entries are 90 MB, and usual layers some kilobytes.
#[derive(Default)]
pub(super) struct OwnNames {
    names: HashSet<u64>,
    key: RandomState,
}

/// Device and inode of a directory.
type Place = (u64, u64);

impl OwnNames {
    pub(super) fn add(&mut self, directory: BorrowedFd<'_>, name: &[u8]) {
        if let Some(place) = place(directory) {
            self.names.insert(self.key.hash_one((place, name)));
        }
    }

    pub(super) fn has(&self, directory: BorrowedFd<'_>, name: &[u8]) -> bool {
        place(directory).is_some_and(|place| self.names.contains(&self.key.hash_one((place, name))))
    }
}

fn place(directory: BorrowedFd<'_>) -> Option<Place> {
    let stat = rustix::fs::fstat(directory).ok()?;
    Some((stat.st_dev, stat.st_ino))
}

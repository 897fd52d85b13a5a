//! The content of a member, wherever it is, and its way into the store.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::compression::HEAD;
use super::{ArchiveError, Job};
use crate::digest::Digest;
use crate::document::{Descriptor, MAX_DOCUMENT};
use crate::progress::{Ended, Task};
use crate::store::{Fresh, Hold, Ingest, StoreError};

/// Where members are found by name.
pub(super) trait Shelf: Sync {
    /// A member, `None` where there is none.
    fn find(&self, name: &str) -> Result<Option<Content>, ArchiveError>;
}

/// The bytes of a member.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A part of a file.
    Range { file: Arc<File>, offset: u64, size: u64 },
    /// In memory: a small document of a stream.
    Bytes(Arc<[u8]>),
    /// In the store already: of a stream.
    Blob { digest: Digest, size: u64 },
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Range { size, .. } | Self::Blob { size, .. } => *size,
            Self::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        }
    }

    /// The first bytes, fewer where there are no more.
    pub(super) fn head(&self, hold: &Hold) -> Result<Vec<u8>, StoreError> {
        self.beginning(hold, HEAD)
    }

    /// At most `most` bytes from the beginning.
    pub(super) fn beginning(&self, hold: &Hold, most: usize) -> Result<Vec<u8>, StoreError> {
        let length = usize::try_from(self.size()).unwrap_or(usize::MAX).min(most);
        let mut bytes = vec![0; length];
        let read = match self {
            Self::Bytes(all) => {
                bytes.copy_from_slice(&all[..length]);
                Ok(())
            }
            Self::Range { file, offset, .. } => file.read_exact_at(&mut bytes, *offset),
            Self::Blob { digest, .. } => {
                hold.store().open_blob(digest)?.read_exact_at(&mut bytes, 0)
            }
        };
        read.map_err(StoreError::io("read from", hold.store().directory()))?;
        Ok(bytes)
    }

    /// All of a document.
    fn all(&self, hold: &Hold) -> Result<Vec<u8>, StoreError> {
        self.beginning(hold, usize::try_from(MAX_DOCUMENT).unwrap_or(usize::MAX))
    }
}

impl Job<'_> {
    pub(super) fn find(&self, shelf: &dyn Shelf, name: &str) -> Result<Content, ArchiveError> {
        shelf.find(name)?.ok_or_else(|| self.missing(name))
    }

    /// The bytes of a small document, which must be what a descriptor says where there is one.
    pub(super) fn document(
        &self,
        shelf: &dyn Shelf,
        name: &str,
        wanted: Option<&Descriptor>,
    ) -> Result<Vec<u8>, ArchiveError> {
        let content = self.find(shelf, name)?;
        let size = content.size();
        if size > MAX_DOCUMENT {
            let most = MAX_DOCUMENT >> 20;
            return Err(self.refuse(&format!("{name:?} is larger than {most} MiB: {size} bytes")));
        }
        let bytes = content.all(self.hold).map_err(self.member(name))?;
        if let Some(Descriptor { digest, size, .. }) = wanted {
            crate::store::check(digest, *size, &bytes).map_err(self.member(name))?;
        }
        Ok(bytes)
    }

    /// Brings a member into the store; its digest and size.
    pub(super) fn place(
        &self,
        content: &Content,
        wanted: Option<&Descriptor>,
        task: Box<dyn Task>,
    ) -> Result<(Digest, u64), StoreError> {
        match wanted {
            Some(wanted) => self.place_known(content, wanted, task),
            None => self.place_unknown(content, task),
        }
    }

    fn place_known(
        &self,
        content: &Content,
        wanted: &Descriptor,
        mut task: Box<dyn Task>,
    ) -> Result<(Digest, u64), StoreError> {
        let Descriptor { digest, size, .. } = wanted;
        if content.size() != *size {
            let (digest, got) = (digest.clone(), content.size());
            return Err(StoreError::WrongSize { digest, wanted: *size, got });
        }
        let how = match self.copy_known(content, wanted, &mut *task) {
            // The beginning that was there already was wrong, and is gone now.
            Err(StoreError::WrongDigest { resumed: true, .. }) => {
                self.copy_known(content, wanted, &mut *task)
            }
            result => result,
        };
        task.end(how?);
        Ok((digest.clone(), *size))
    }

    fn copy_known(
        &self,
        content: &Content,
        wanted: &Descriptor,
        task: &mut dyn Task,
    ) -> Result<Ended, StoreError> {
        if let Content::Blob { digest: got, .. } = content {
            let (wanted, got) = (wanted.digest.clone(), got.clone());
            return if got == wanted {
                Ok(Ended::Done)
            } else {
                Err(StoreError::WrongDigest { wanted, got, resumed: false })
            };
        }
        let Ingest::Partial(mut partial) = self.hold.ingest(wanted)? else {
            return Ok(Ended::Present);
        };
        let (start, missing) = (partial.offset(), partial.missing());
        task.advance(start);
        match content {
            Content::Range { file, offset, .. } => {
                let offset = offset.saturating_add(start);
                partial.write_from(file, offset, missing, &mut |bytes| task.advance(bytes))?;
            }
            Content::Bytes(bytes) => {
                partial.restart()?;
                partial.write(bytes)?;
                task.advance(missing);
            }
            Content::Blob { .. } => {}
        }
        partial.commit()?;
        Ok(Ended::Done)
    }

    fn place_unknown(
        &self,
        content: &Content,
        mut task: Box<dyn Task>,
    ) -> Result<(Digest, u64), StoreError> {
        let placed = match content {
            Content::Blob { digest, size } => (digest.clone(), *size),
            Content::Range { file, offset, size } => {
                let mut fresh: Fresh<'_> = self.hold.ingest_new()?;
                fresh.write_from(file, *offset, *size, &mut |bytes| task.advance(bytes))?;
                fresh.commit()?
            }
            Content::Bytes(bytes) => {
                let mut fresh = self.hold.ingest_new()?;
                fresh.write(bytes)?;
                fresh.commit()?
            }
        };
        task.end(Ended::Done);
        Ok(placed)
    }
}

//! Reading everything, to see whether it is still what it was.

use std::fmt;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use lxcri_linux::step::Step as _;

use super::index::name_of;
use super::ingest::remove_present;
use super::{Purpose, Store, StoreError};
use crate::digest::Digest;
use crate::progress::{Ended, Progress, Stage};
use crate::step::Step;

/// More threads than this gain nothing: the disk is the limit.
const MOST_THREADS: usize = 4;

/// Something that is not as it should be.
#[derive(Debug)]
pub enum Damage {
    /// The content of a blob is not its digest's.
    Blob {
        /// The blob.
        digest: Digest,
        /// What is wrong.
        problem: String,
        /// Whether it was removed, so that the next pull fetches it.
        is_removed: bool,
    },
    /// A blob that an image needs is not there, or too short or long.
    Missing {
        /// The image's first name, or the digest of its manifest.
        image: String,
        /// What is missing.
        problem: StoreError,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob { digest, problem, is_removed: false } => {
                write!(f, "blob {digest} is damaged: {problem}")
            }
            Self::Blob { digest, problem, is_removed: true } => {
                write!(f, "blob {digest} was damaged and is removed: {problem}")
            }
            Self::Missing { image, problem } => write!(f, "image {image}: {problem}"),
        }
    }
}

impl Store {
    /// Hashes every blob and looks whether everything is there that images need. With `repair`
    /// damaged blobs are removed once nobody holds the store; the images that need them are listed,
    /// and pulling them again fetches what is missing.
    ///
    /// # Errors
    /// The kernel's. Damage is no error but the answer.
    pub fn verify(&self, progress: &dyn Progress, repair: bool) -> Result<Vec<Damage>, StoreError> {
        let mut damage = self.damaged_blobs(progress)?;
        if repair && !damage.is_empty() {
            self.remove_damaged(&mut damage, progress)?;
        }
        for entry in self.entries()? {
            let image = name_of(&entry).map_or_else(|| entry.digest.to_string(), ToOwned::to_owned);
            let reached = self.reach(std::slice::from_ref(&entry));
            let mut missing = |problem| {
                damage.push(Damage::Missing { image: image.clone(), problem });
            };
            for (digest, blob) in reached.blobs {
                match self.size_of(&digest) {
                    Some(got) if got == blob.size => {}
                    Some(got) => missing(StoreError::WrongSize { digest, wanted: blob.size, got }),
                    None => missing(StoreError::Missing { digest }),
                }
            }
            let is_news = |error: &StoreError| {
                !matches!(error, StoreError::Missing { .. } | StoreError::WrongSize { .. })
            };
            reached.unread.into_iter().map(|(_, e)| e).filter(is_news).for_each(missing);
        }
        Ok(damage)
    }

    fn damaged_blobs(&self, progress: &dyn Progress) -> Result<Vec<Damage>, StoreError> {
        let _hold = self.hold(Purpose::Pull)?;
        let mut digests = Vec::new();
        self.blobs(|digest, _| {
            digests.push(digest);
            Ok(())
        })?;
        let (next, damage) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || {
            while let Some(digest) = digests.get(next.fetch_add(1, Ordering::Relaxed)) {
                let problem = self.blob_problem(digest, progress);
                let Some(problem) = problem else { continue };
                let entry = Damage::Blob { digest: digest.clone(), problem, is_removed: false };
                damage.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(entry);
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        std::thread::scope(|scope| {
            for _ in 1..threads.min(MOST_THREADS) {
                scope.spawn(work);
            }
            work();
        });
        Ok(damage.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// What is wrong with a blob, a failure to read it among that.
    fn blob_problem(&self, digest: &Digest, progress: &dyn Progress) -> Option<String> {
        let mut task = progress.begin(Stage::Verify, digest.short(), self.size_of(digest));
        match self.verify_blob(digest, &mut |bytes| task.advance(bytes)) {
            Ok(None) => {
                task.end(Ended::Done);
                None
            }
            Ok(Some(got)) => Some(format!("its content is {got}")),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Looks again before it removes: meanwhile somebody may have fetched it anew.
    fn remove_damaged(
        &self,
        damage: &mut [Damage],
        progress: &dyn Progress,
    ) -> Result<(), StoreError> {
        let _collecting =
            self.collect(&|| progress.note("waiting until nobody uses the image store"))?;
        for entry in damage {
            if let Damage::Blob { digest, is_removed, .. } = entry
                && !matches!(self.verify_blob(digest, &mut |_| {}), Ok(None))
            {
                remove_present(&self.blob_path(digest))?;
                Step::VerifyBlob.reached();
                *is_removed = true;
            }
        }
        Ok(())
    }
}

//! The steps of the verbs that change the image store or write an archive.
//!
//! Pulling, importing and tagging go through the same code of the store; which of them it is, a
//! [`Purpose`] tells, so that a test can end each of the three at each of its steps.

use lxcri_linux::step::Step as _;

lxcri_linux::steps! {
    /// Steps of the image store and of archives, by verb.
    pub enum Step {
        /// The directories of a new store were made.
        OpenDirectories = "image-open/directories",
        /// A new store has an index without names.
        OpenIndex = "image-open/index",
        /// A new store says that it is one.
        OpenLayout = "image-open/layout",
        /// The file of a blob that is being fetched was made.
        PullPartial = "image-pull/partial",
        /// Some of its bytes were written.
        PullWritten = "image-pull/written",
        /// The blob is whole, verified and has its name.
        PullCommitted = "image-pull/committed",
        /// The next index was written, under its temporary name.
        PullIndex = "image-pull/index",
        /// The image has its name.
        PullTagged = "image-pull/tagged",
        /// The file of a blob that is being copied was made.
        ImportPartial = "image-import/partial",
        /// Some of its bytes were written.
        ImportWritten = "image-import/written",
        /// The blob is whole, verified and has its name.
        ImportCommitted = "image-import/committed",
        /// The next index was written, under its temporary name.
        ImportIndex = "image-import/index",
        /// The image has its name.
        ImportTagged = "image-import/tagged",
        /// The next index was written, under its temporary name.
        TagIndex = "image-tag/index",
        /// The image has its name.
        TagTagged = "image-tag/tagged",
        /// The next index was written, under its temporary name.
        RemoveIndex = "image-rm/index",
        /// The names are gone.
        RemoveUntagged = "image-rm/untagged",
        /// One of the blobs that only this image had is gone.
        RemoveBlob = "image-rm/blob",
        /// The next index was written, under its temporary name.
        PruneIndex = "image-prune/index",
        /// The images are gone from the index.
        PruneUntagged = "image-prune/untagged",
        /// One of the blobs that nobody needs is gone.
        PruneBlob = "image-prune/blob",
        /// One of the blobs that nobody finished is gone.
        PrunePartial = "image-prune/partial",
        /// A damaged blob is gone.
        VerifyBlob = "image-verify/blob",
        /// The archive was written, under its temporary name.
        ExportWritten = "image-export/written",
        /// The archive has its name.
        ExportRenamed = "image-export/renamed",
    }
}

/// What the store is held for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Blobs come from a registry; or a container is made of blobs that are there.
    Pull,
    /// Blobs come from an archive or a directory.
    Import,
    /// An image gets a further name.
    Tag,
}

/// The two steps of every change of the index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexSteps {
    /// The temporary file is there.
    pub(crate) written: Step,
    /// It has become the index.
    pub(crate) renamed: Step,
}

impl IndexSteps {
    pub(crate) const REMOVE: Self =
        Self { written: Step::RemoveIndex, renamed: Step::RemoveUntagged };
    pub(crate) const PRUNE: Self = Self { written: Step::PruneIndex, renamed: Step::PruneUntagged };
}

impl Purpose {
    pub(crate) fn index(self) -> IndexSteps {
        let (written, renamed) = match self {
            Self::Pull => (Step::PullIndex, Step::PullTagged),
            Self::Import => (Step::ImportIndex, Step::ImportTagged),
            Self::Tag => (Step::TagIndex, Step::TagTagged),
        };
        IndexSteps { written, renamed }
    }

    pub(crate) fn partial(self) {
        match self {
            Self::Pull => Step::PullPartial.reached(),
            Self::Import => Step::ImportPartial.reached(),
            Self::Tag => {}
        }
    }

    pub(crate) fn written(self) {
        match self {
            Self::Pull => Step::PullWritten.reached(),
            Self::Import => Step::ImportWritten.reached(),
            Self::Tag => {}
        }
    }

    pub(crate) fn committed(self) {
        match self {
            Self::Pull => Step::PullCommitted.reached(),
            Self::Import => Step::ImportCommitted.reached(),
            Self::Tag => {}
        }
    }
}

//! Images: from a reference to a root filesystem that a container can write to.
//!
//! ```text
//! reference   what users type: names, tags, digests, transports
//! registries  registries.conf: mirrors, aliases, what is blocked
//! registry    the distribution API's client: tokens, resume, push
//! store       an OCI image layout that many processes share: blobs, names, what is in use
//! archive     oci:, oci-archive:, docker-archive:, dir: and root filesystem tarballs, in and out
//! layer       a layer's bytes to a directory, by a process with few rights
//! rootfs      layers to a writable root filesystem: overlay, btrfs, zfs, copy
//! spec        an image's configuration and the user's options to config.json
//! pull, push  between a registry and the store
//! library     everything below the data root: bringing images in, tidying up
//! container   what a container of an image leaves between two boots
//! ```
//!
//! Nothing here prints, and nothing runs a container: that is `lxcri_core::runtime`'s.

pub mod archive;
pub mod container;
pub mod digest;
mod directory_lock;
pub mod document;
pub mod id_range;
pub mod layer;
pub mod library;
mod parallel;
mod passage;
pub mod progress;
pub mod pull;
pub mod push;
pub mod reference;
pub mod registries;
pub mod registry;
pub mod rootfs;
pub mod settings;
pub mod spec;
mod step;
pub mod store;

/// The names of all steps at which work on images can be cut off: `verb/step`, and
/// `verb/process/step` in a child of ours.
pub fn steps() -> impl Iterator<Item = &'static str> {
    let lists =
        [step::Step::NAMES, layer::step::Step::NAMES, rootfs::Step::NAMES, container::Step::NAMES];
    lists.into_iter().flatten().copied()
}

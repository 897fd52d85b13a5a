//! Images: from a reference to a root filesystem that a container can write to.
//!
//! ```text
//! reference  what users type: names, tags, digests, transports; registries.conf and short names
//! registry   the distribution API's client: tokens, resume, mirrors, push
//! store      an OCI image layout that many processes share: blobs, names, what is in use
//! archive    oci:, oci-archive:, docker-archive:, dir: and root filesystem tarballs, in and out
//! layer      a layer's bytes to a directory, by a process with few rights
//! rootfs     layers to a writable root filesystem: overlay, btrfs, zfs, copy
//! spec       an image's configuration and the user's options to config.json
//! ```
//!
//! Nothing here prints, and nothing runs a container: that is `lxcri_core::runtime`'s.

pub mod digest;
pub mod document;
pub mod progress;
pub mod rootfs;

//! The `lxc` room: an OCI container becomes an LXC container, which lxc-ls, lxc-info and lxc-attach
//! see, with LXC's cgroups, AppArmor profiles and id maps. Chosen where that is wanted; it needs
//! liblxc 5 or newer and root's rights.
//!
//! What LXC has words for goes into one configuration file; what it has none for, or applies less
//! exactly than asked, is done inside by lxcri-init. [`config`] decides which is which, and makes
//! nothing; [`coverage`] says so field by field.

pub mod config;
pub mod coverage;

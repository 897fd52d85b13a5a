//! The result of planning.

use std::path::PathBuf;

use lxcri_core::coverage::Finding;

use super::hooks::HostHooks;
use super::inside::Inside;
use super::read_back::ReadBack;

/// All that an LXC container of a bundle needs. Nothing was made yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The text of LXC's configuration file, `<lxcpath>/<name>/config`.
    pub config: String,
    /// The seccomp profile that the configuration names.
    pub seccomp: Option<Profile>,
    /// What lxcri-init applies.
    pub inside: Inside,
    /// Limits that the kernel must show once LXC has started the container.
    pub read_back: Vec<ReadBack>,
    /// Hooks that are run on the host.
    pub hooks: HostHooks,
    /// What is left out without harm, to be told the user.
    pub ignored: Vec<Finding>,
}

/// A seccomp profile in liblxc's format, version 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Where the configuration says it is.
    pub path: PathBuf,
    /// What must be there.
    pub text: String,
}

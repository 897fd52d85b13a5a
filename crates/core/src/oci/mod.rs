//! The OCI runtime specification's documents: `config.json`, state and features.
//!
//! Own types instead of a crate's, for three reasons: a value we do not know (a capability, a
//! seccomp action) must be our warning or refusal with its place, not a parse failure; an error
//! must name line and field; and the fields are read on every `create`, so they are plain data.
//! Which of them a backend honours is the business of [`crate::coverage`].

mod features;
mod hooks;
mod linux;
mod process;
mod spec;
mod state;
pub mod template;

pub use features::{
    Cgroup, Features, IdMap, IntelRdt, LinuxFeatures, MountExtensions, NetDevices, Seccomp,
    SecurityModule,
};
pub use hooks::{Hook, Hooks};
pub use linux::{
    DEFAULT_DEVICES, Device, IdMapping, Linux, Namespace, NamespaceKind, Personality,
    REPLACEABLE_PROC_FILES, TimeOffset,
};
pub use lxcri_linux::cgroup::Resources;
use lxcri_linux::json::null_is_default;
pub use process::{Capabilities, ConsoleSize, Process, Rlimit, User};
pub use spec::{Mount, Root, Spec, SpecError};
pub use state::State;

/// The newest runtime specification this code was written against.
pub const VERSION: &str = "1.3.0";

//! The section `[crun]` of the configuration.

use lxcri_core::config::{Key, Kind, Section};

/// What can be configured.
pub(crate) const SECTION: Section = Section {
    name: super::NAME,
    doc: "The backend that drives another OCI runtime program.",
    keys: &[Key {
        name: "path",
        kind: Kind::String,
        default: None,
        doc: "The program: a name that is looked up on `PATH`, or an absolute path. Without it the \
              first of crun, runc and youki on `PATH`.",
    }],
};

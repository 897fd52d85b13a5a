//! The commands that are cut off.

use std::fmt;

use lxcri_testkit::Stop;
use lxcri_testkit::Verdict;

/// A command that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// The first command in a new data root.
    Open,
    Pull,
    Import,
    Tag,
    Remove,
    Prune,
    Verify,
    Export,
    Create,
    Delete,
    Run,
}

impl Verb {
    /// The command that goes through a step.
    pub(super) fn of(step: &str) -> Verdict<Self> {
        Ok(match step.split_once('/').map_or(step, |(group, _)| group) {
            "image-open" => Self::Open,
            "image-pull" => Self::Pull,
            "image-import" | "image-unpack" => Self::Import,
            "image-tag" => Self::Tag,
            "image-rm" => Self::Remove,
            "image-prune" => Self::Prune,
            "image-verify" => Self::Verify,
            "image-export" => Self::Export,
            "image-create" | "rootfs-prepare" => Self::Create,
            "image-delete" | "rootfs-remove" => Self::Delete,
            group => {
                return Err(Stop::Failed(format!("no crash test knows the steps {group:?}")));
            }
        })
    }

    /// Whether an image has to be there before.
    pub(super) fn wants_image(self) -> bool {
        !matches!(self, Self::Open | Self::Pull | Self::Import)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Pull => "pull",
            Self::Import => "import",
            Self::Tag => "tag",
            Self::Remove => "rm",
            Self::Prune => "prune",
            Self::Verify => "verify",
            Self::Export => "export",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Run => "run",
        })
    }
}

//! The states of a container (OCI runtime-spec `runtime.md`, "State") and which verb each allows.
//!
//! ```text
//! creating ──▶ created ──start──▶ running ◀──pause/resume──▶ paused
//!     │            │                 │                          │
//!     └────────────┴──────▶ stopped ◀┴──────────────────────────┘ ──delete──▶ (gone)
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// `create` is still at work.
    Creating,
    /// Everything is made; the user's program waits for `start`.
    Created,
    /// The user's program runs.
    Running,
    /// Running, but frozen.
    Paused,
    /// The init process has ended (or never came to be).
    Stopped,
}

/// A verb that only some states allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Run the user's program.
    Start,
    /// Run one more process.
    Exec,
    /// Freeze.
    Pause,
    /// Thaw.
    Resume,
    /// Remove, without `--force`.
    Delete,
    /// Change resources.
    Update,
    /// Signal.
    Kill,
    /// Read usage or processes.
    Observe,
}

impl Status {
    /// Whether `verb` is allowed now; otherwise the sentence that runc's users and clients know.
    pub fn allows(self, verb: Verb) -> Result<(), &'static str> {
        use Status::{Created, Creating, Paused, Running, Stopped};
        let refusal = match (verb, self) {
            (Verb::Start, Created)
            | (Verb::Exec, Created | Running)
            | (Verb::Pause, Running | Created)
            | (Verb::Resume, Paused)
            | (Verb::Delete, Stopped | Created)
            | (Verb::Update | Verb::Observe | Verb::Kill, Created | Running | Paused) => {
                return Ok(());
            }
            (Verb::Start, Stopped) => "cannot start a container that has stopped",
            (Verb::Start, _) => "cannot start an already running container",
            (Verb::Exec, Paused) => {
                "cannot exec in a paused container (use --ignore-paused to override)"
            }
            (Verb::Exec, _) => "cannot exec in a stopped container",
            (Verb::Pause, Paused) => "container already paused",
            (Verb::Resume, Running | Created) => "container not paused",
            (Verb::Delete, _) => "cannot delete a container that is not stopped",
            (_, Creating | Stopped) => "container not running",
        };
        Err(refusal)
    }

    /// Whether an init process of this container exists.
    pub fn has_process(self) -> bool {
        matches!(self, Self::Created | Self::Running | Self::Paused)
    }

    /// The word of the runtime specification.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_allows_exactly_these_verbs() {
        use Status::*;
        let all = [Creating, Created, Running, Paused, Stopped];
        let table = [
            (Verb::Start, vec![Created]),
            (Verb::Exec, vec![Created, Running]),
            (Verb::Pause, vec![Created, Running]),
            (Verb::Resume, vec![Paused]),
            (Verb::Delete, vec![Created, Stopped]),
            (Verb::Update, vec![Created, Running, Paused]),
            (Verb::Kill, vec![Created, Running, Paused]),
            (Verb::Observe, vec![Created, Running, Paused]),
        ];
        for (verb, allowed) in table {
            for status in all {
                assert_eq!(
                    status.allows(verb).is_ok(),
                    allowed.contains(&status),
                    "{verb:?} {status}"
                );
            }
        }
    }

    #[test]
    fn clients_find_their_words() {
        assert_eq!(Status::Stopped.allows(Verb::Kill), Err("container not running"));
        assert_eq!(serde_json::to_string(&Status::Paused).unwrap(), "\"paused\"");
    }
}

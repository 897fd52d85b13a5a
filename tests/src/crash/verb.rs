//! The verbs that are cut off.

use std::fmt;

use lxcri_testkit::Executor;
use lxcri_testkit::Room;
use lxcri_testkit::Stop;
use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use serde_json::Value;
use serde_json::json;

/// A verb that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Start,
    Exec,
    Kill,
    Delete,
    Update,
    Pause,
    Resume,
}

impl Verb {
    pub(super) const ALL: [Self; 8] = [
        Self::Create,
        Self::Start,
        Self::Exec,
        Self::Kill,
        Self::Delete,
        Self::Update,
        Self::Pause,
        Self::Resume,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Exec => "exec",
            Self::Kill => "kill",
            Self::Delete => "delete",
            Self::Update => "update",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }

    /// The verb in the name of a step.
    pub(super) fn parse(word: &str) -> Verdict<Self> {
        let verb = Self::ALL.into_iter().find(|verb| verb.as_str() == word);
        verb.ok_or_else(|| Stop::Failed(format!("no crash test knows the verb {word:?}")))
    }

    /// What is wanted of `update`: something that the room can change in this view.
    pub(super) fn resources(room: &Room) -> Value {
        let devices =
            json!([{ "allow": true, "type": "c", "major": 1, "minor": 11, "access": "r" }]);
        match (room.runtime.executor, room.view) {
            (Executor::Native, View::V2) => {
                json!({ "unified": { "cgroup.max.depth": "9" }, "devices": devices })
            }
            (Executor::Native, _) => json!({ "pids": { "limit": 99 }, "devices": devices }),
            // No controller of the test machines is in v2: the program is asked, and has nothing
            // to do.
            (_, View::V2) => json!({ "memory": {} }),
            _ => json!({ "pids": { "limit": 99 } }),
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

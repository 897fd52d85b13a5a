//! What peers are known not to do, or to do otherwise. A case in this list says nothing about the
//! crun backend when that peer makes the containers.

use lxcri_testkit::Executor;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::skip;

/// A case that a peer does not pass.
#[derive(Debug)]
pub struct Unable {
    /// The peer.
    pub executor: Executor,
    /// The only view in which it fails, when it passes in others.
    pub view: Option<View>,
    /// The case.
    pub case: &'static str,
    /// What the peer does instead.
    pub why: &'static str,
}

/// Shorthand for a table row that holds in every view.
const fn unable(executor: Executor, case: &'static str, why: &'static str) -> Unable {
    Unable {
        executor,
        view: None,
        case,
        why,
    }
}

/// The list.
pub const UNABLE: &[Unable] = &[unable(
    Executor::OldRunc,
    "rootfs/domainname",
    "runc 1.1 has no domainname",
)];

/// Skips the test when the room's executor is known to be unable.
///
/// # Errors
/// The skip.
pub fn skip_if_unable(case: &str, room: &Room) -> Verdict {
    let executor = room.runtime.executor;
    let row = UNABLE.iter().find(|row| {
        row.case == case
            && row.executor == executor
            && row.view.is_none_or(|view| view == room.view)
    });
    if let Some(row) = row {
        skip!("{executor}: {}", row.why);
    }
    Ok(())
}

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
    Unable { executor, view: None, case, why }
}

/// The list.
pub const UNABLE: &[Unable] = &[
    unable(Executor::OldRunc, "rootfs/domainname", "runc 1.1 has no domainname"),
    unable(Executor::OldRunc, "rootfs/propagation_shared", "runc leaves the root private"),
    unable(
        Executor::OldRunc,
        "rootfs/propagation_unbindable",
        "runc cannot bind an unbindable root",
    ),
    unable(
        Executor::OldRunc,
        "mounts/tmpfs",
        "runc 1.1 gives a tmpfs the mode of the directory below it",
    ),
    unable(Executor::OldRunc, "mounts/option_defaults", "runc 1.1 hands the option to the kernel"),
    unable(Executor::OldRunc, "namespaces/new_time", "runc 1.1 has no time namespaces"),
    unable(Executor::OldRunc, "namespaces/join_time", "runc 1.1 has no time namespaces"),
    unable(Executor::OldRunc, "namespaces/time_offsets", "runc 1.1 has no time namespaces"),
    unable(
        Executor::OldRunc,
        "namespaces/join_user",
        "runc 1.1 wants mappings for a joined user namespace",
    ),
    unable(Executor::OldRunc, "seccomp/log_and_flags", "runc 1.1 has no filter flags"),
    unable(Executor::OldRunc, "hooks/order", "runc runs poststart at create"),
    unable(Executor::OldRunc, "hooks/poststart", "runc runs poststart at create"),
    unable(Executor::OldRunc, "hooks/failure_of_poststart", "runc runs poststart at create"),
    unable(
        Executor::OldRunc,
        "hooks/failure_of_poststop",
        "runc stops at the first poststop hook that fails",
    ),
    unable(Executor::OldRunc, "escape/dev_is_link", "runc 1.1 follows a link at /dev of the image"),
    unable(Executor::Crun, "mounts/options_undone", "crun does not undo the earlier option"),
    unable(
        Executor::Crun,
        "mounts/propagation_shared",
        "crun makes every mount private at the end",
    ),
    unable(Executor::Crun, "mounts/propagation_slave", "crun makes every mount private at the end"),
    unable(
        Executor::Crun,
        "mounts/propagation_unbindable",
        "crun makes every mount private at the end",
    ),
    unable(Executor::Crun, "namespaces/join_time", "crun cannot join a time namespace"),
    unable(Executor::Crun, "hooks/order", "crun runs startContainer after poststart"),
    unable(Executor::Crun, "hooks/start_container", "crun calls the status starting"),
    unable(Executor::Crun, "exec/terminal_size", "crun sets the size after the start"),
    unable(Executor::Crun, "exec/missing_program", "crun words it differently"),
    unable(Executor::Crun, "exec/not_executable", "crun words it differently"),
    unable(
        Executor::OldRunc,
        "devices/configured_default",
        "runc 1.1 makes its own node in place of the configured one",
    ),
    unable(Executor::Runc, "mounts/option_defaults", "runc hands the option to the kernel"),
    unable(Executor::Runc, "hooks/order", "runc runs poststart at create"),
    unable(Executor::Runc, "hooks/poststart", "runc runs poststart at create"),
    unable(Executor::Runc, "hooks/failure_of_poststart", "runc runs poststart at create"),
    unable(
        Executor::Runc,
        "hooks/failure_of_poststop",
        "runc stops at the first poststop hook that fails",
    ),
    unable(
        Executor::OldRunc,
        "exec/inherits_settings",
        "the Go runtime of runc 1.1 sometimes raises the soft limit of open files",
    ),
    unable(
        Executor::OldRunc,
        "exec/process_file_rlimits",
        "the Go runtime of runc 1.1 sometimes raises the soft limit of open files",
    ),
];

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

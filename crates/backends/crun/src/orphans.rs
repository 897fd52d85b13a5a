//! Processes that the program put into a container's pid namespace and left to us when it failed.
//! As long as one of them is not reaped the namespace's init cannot end (pid_namespaces(7)).

use std::collections::BTreeSet;
use std::time::Duration;

use lxcri_linux::process::PidFd;

/// How long one may take to end after its program has given up.
const PATIENCE: Duration = Duration::from_secs(1);

/// The children this process has now.
#[derive(Debug)]
pub(crate) struct Orphans {
    before: BTreeSet<i32>,
}

impl Orphans {
    /// To be called before the program is started.
    pub(crate) fn expect() -> Self {
        Self { before: children() }
    }

    /// Reaps the children that came since and live in a pid namespace below ours. Others may be
    /// somebody else's to wait for.
    pub(crate) fn reap(&self) {
        for pid in children().difference(&self.before).copied().filter(|pid| is_contained(*pid)) {
            let reaped = PidFd::of_child(pid).and_then(|fd| {
                fd.wait_for_end(Some(PATIENCE))?;
                fd.reap(false)
            });
            log::debug!("process {pid} was left by a failed exec: {reaped:?}");
        }
    }
}

/// Children of all threads (`/proc/PID/task/TID/children`, proc_tid_children(5)). A kernel that
/// does not list them leaves the reaping to who parents us next.
fn children() -> BTreeSet<i32> {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| parse(&list)).collect()
}

fn parse(list: &str) -> Vec<i32> {
    list.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Whether a process has a pid in a namespace below ours (`NSpid`, proc_pid_status(5)).
fn is_contained(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| depth(&status) > 1)
}

fn depth(status: &str) -> usize {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    line.map_or(0, |pids| pids.split_whitespace().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_and_depths() {
        assert_eq!(parse("12 34 \n"), [12, 34]);
        assert!(parse("").is_empty());
        assert_eq!(depth("Name:\tx\nNSpid:\t12\t3\nNSpgid:\t1\n"), 2);
        assert_eq!(depth("NSpid:\t12\n"), 1);
        assert_eq!(depth(""), 0);
    }

    #[test]
    fn a_child_outside_of_containers_is_not_touched() {
        let orphans = Orphans::expect();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        assert!(children().contains(&child.id().cast_signed()));
        orphans.reap();
        assert!(child.wait().unwrap().success());
    }
}

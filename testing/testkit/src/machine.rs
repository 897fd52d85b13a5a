//! What a container leaves on the machine: a picture before, one after, and the difference.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::process;
use crate::room::Room;
use crate::runtime::Executor;
use crate::view::View;

/// Something that is known to stay behind on purpose.
#[derive(Debug)]
pub struct LeftBehind {
    /// Who leaves it.
    pub by: &'static [Executor],
    /// The beginning of the entry as [`Machine`] lists it; `ROOT` stands for the runtime's root.
    pub entry: &'static str,
    /// Why it is there.
    pub why: &'static str,
}

/// Everything that runtimes leave behind on purpose.
pub const KNOWN_TO_STAY: &[LeftBehind] = &[
    LeftBehind {
        by: &[Executor::Native],
        entry: "file ROOT/@seccomp",
        why: "we keep compiled seccomp programs for the next container",
    },
    LeftBehind {
        by: &[Executor::Crun, Executor::Runc, Executor::OldRunc],
        entry: "file ROOT/@crun",
        why: "the crun room keeps what its program said of itself for the next container",
    },
    LeftBehind {
        by: &[Executor::Crun],
        entry: "file ROOT/.cache",
        why: "crun keeps compiled seccomp programs for the next container",
    },
    LeftBehind {
        by: &[Executor::Crun],
        entry: "file ROOT/.empty-directory",
        why: "crun masks directories by binding this one",
    },
    LeftBehind {
        by: &[Executor::Crun, Executor::Runc, Executor::OldRunc],
        entry: "file ROOT/crun",
        why: "the root that our crun backend gives its program, with what that keeps there",
    },
];

/// A picture of everything a runtime may leave behind, as lines that begin with the kind of thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    lines: BTreeSet<String>,
}

impl Machine {
    /// Takes the picture, as seen from this process and for the files of `room`.
    #[must_use]
    pub fn snapshot(room: &Room) -> Self {
        let mut lines = BTreeSet::new();
        add_cgroups(&mut lines, room.view);
        add_mounts(&mut lines);
        add_processes(&mut lines);
        add_descriptors(&mut lines);
        add_runtime_directories(&mut lines);
        add_files(&mut lines, &room.root(), &room.root());
        add_bundles(&mut lines, &room.bundles_dir());
        Self { lines }
    }

    /// What is in `after` and not here, or here and not in `after`, less what `executor` is known to
    /// leave.
    #[must_use]
    pub fn difference(&self, after: &Self, executor: Executor) -> Vec<String> {
        let known = |line: &&String| {
            KNOWN_TO_STAY
                .iter()
                .any(|left| left.by.contains(&executor) && line.starts_with(left.entry))
        };
        // crun mounts cgroup2 anew, and the kernel takes the options of the newest mount for all of
        // them: those of a whole machine's systemd are lost until its next start.
        let remounted = |line: &str, others: &BTreeSet<String>| {
            let same =
                line.split_once(" - cgroup2 ").map(|(mount, _)| format!("{mount} - cgroup2 "));
            executor != Executor::Native
                && same.is_some_and(|same| others.iter().any(|other| other.starts_with(&same)))
        };
        let other = |line: &&String| !known(line) && !remounted(line, &self.lines);
        let new = after.lines.difference(&self.lines).filter(other);
        // A cgroup that is gone was somebody else's, and so was its removal: no runtime is told of it.
        let gone = self.lines.difference(&after.lines).filter(|line| !line.starts_with("cgroup "));
        let gone = gone.filter(|line| !remounted(line, &after.lines));
        new.map(|line| format!("left behind: {line}"))
            .chain(gone.map(|line| format!("gone: {line}")))
            .collect()
    }

    /// The lines of one kind.
    fn count(&self, kind: &str) -> usize {
        self.lines.iter().filter(|line| line.starts_with(kind)).count()
    }

    /// Processes below this one that still run.
    #[must_use]
    pub fn processes() -> Vec<i32> {
        process::below(own_pid())
    }

    /// The cgroup directories that are new in `after`, deepest first.
    #[must_use]
    pub fn new_cgroups(&self, after: &Self) -> Vec<PathBuf> {
        let new = after.lines.difference(&self.lines);
        let mut found: Vec<PathBuf> =
            new.filter_map(|line| line.strip_prefix("cgroup ")).map(PathBuf::from).collect();
        found.reverse();
        found
    }
}

impl fmt::Display for Machine {
    /// How much of what was looked at.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cgroups, {} mounts, {} processes, {} descriptors, {} runtime directories, \
             {} files in the root directory, {} files in bundles",
            self.count("cgroup"),
            self.count("mount"),
            self.count("process"),
            self.count("descriptor"),
            self.count("runtime"),
            self.count("file"),
            self.count("bundle")
        )
    }
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or_default()
}

/// Every directory of every hierarchy. A directory that holds only processes which are not below this
/// one belongs to somebody else who uses the machine.
fn add_cgroups(lines: &mut BTreeSet<String>, view: View) {
    let ours: BTreeSet<i32> = process::below(own_pid()).into_iter().collect();
    for hierarchy in view.hierarchies() {
        add_cgroups_below(lines, view, &hierarchy, &ours);
    }
}

fn add_cgroups_below(lines: &mut BTreeSet<String>, view: View, dir: &Path, ours: &BTreeSet<i32>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !is_strangers(view, &path, ours) {
            add_cgroups_below(lines, view, &path, ours);
            lines.insert(format!("cgroup {}", path.display()));
        }
    }
}

fn is_strangers(view: View, cgroup: &Path, ours: &BTreeSet<i32>) -> bool {
    if is_in_strangers_parent(view, cgroup) {
        return true;
    }
    // A test program that runs beside this one names its cgroups after itself.
    let name = cgroup.file_name().unwrap_or_default().to_string_lossy();
    if let Some(owner) = name.strip_prefix("lxcri-test-")
        && !owner.starts_with(&format!("{}-", std::process::id()))
    {
        return true;
    }
    let text = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    let mut processes = text.lines().filter_map(|line| line.parse().ok()).peekable();
    processes.peek().is_some() && !processes.any(|pid: i32| ours.contains(&pid))
}

/// Whether a cgroup appeared in a directory that others had made before the first test. No container
/// is put there, so this is somebody else's, even while it is empty.
fn is_in_strangers_parent(view: View, cgroup: &Path) -> bool {
    static BEFORE: OnceLock<(Vec<String>, BTreeSet<PathBuf>)> = OnceLock::new();
    let (own, before) = BEFORE.get_or_init(|| {
        let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = text.lines().filter_map(|line| Some(line.splitn(3, ':').nth(2)?.to_owned()));
        let mut before = BTreeSet::new();
        for hierarchy in view.hierarchies() {
            add_strangers_parents(&mut before, &hierarchy);
        }
        (own.filter(|path| path != "/").collect(), before)
    });
    let is_own = |path: &Path| own.iter().any(|own| path.ends_with(own.trim_start_matches('/')));
    let Some(parent) = cgroup.parent() else {
        return false;
    };
    before.contains(parent) && !is_own(cgroup) && !parent.ancestors().any(is_own)
}

/// The directories below `dir` in which no container is put: all but slices (where systemd makes
/// the scopes of containers) and what podman makes for its own.
fn add_strangers_parents(before: &mut BTreeSet<PathBuf>, dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if entry.file_type().is_ok_and(|kind| kind.is_dir())
            && !name.ends_with(".slice")
            && name != "libpod_parent"
        {
            add_strangers_parents(before, &entry.path());
            before.insert(entry.path());
        }
    }
}

/// The mounts of this process's namespace: parent, root, target, options and type; ids are reused.
fn add_mounts(lines: &mut BTreeSet<String>) {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for (number, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split(' ').skip(2).collect();
        lines.insert(format!("mount {number:03} {}", words.join(" ")));
    }
}

/// Processes below this one with their network namespaces, which they keep alive.
fn add_processes(lines: &mut BTreeSet<String>) {
    for pid in process::below(own_pid()) {
        let network = fs::read_link(format!("/proc/{pid}/ns/net")).unwrap_or_default();
        lines.insert(format!("{} in {}", process::describe(pid), network.display()));
    }
}

/// Descriptors of this process, which could keep a namespace or a pipe alive.
fn add_descriptors(lines: &mut BTreeSet<String>) {
    for entry in fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        // The directory that is being read is itself open.
        if let Ok(target) = fs::read_link(entry.path())
            && !target.starts_with("/proc")
        {
            lines.insert(format!("descriptor {} {}", entry.path().display(), target.display()));
        }
    }
}

/// The places where runtimes keep state when nobody tells them where.
fn add_runtime_directories(lines: &mut BTreeSet<String>) {
    let entries = fs::read_dir("/run").into_iter().flatten().flatten();
    // containerd's shims keep their sockets in a fixed place; that is the client's, not a runtime's.
    for entry in entries.filter(|entry| entry.file_name() != "containerd") {
        lines.insert(format!("runtime {}", entry.path().display()));
    }
}

/// Everything below `--root`.
fn add_files(lines: &mut BTreeSet<String>, root: &Path, dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let below = path.strip_prefix(root).unwrap_or(&path);
        lines.insert(format!("file ROOT/{}", below.display()));
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            add_files(lines, root, &path);
        }
    }
}

/// What a bundle holds beside `config.json` and `rootfs`, and fifos and sockets anywhere in it.
fn add_bundles(lines: &mut BTreeSet<String>, bundles: &Path) {
    for bundle in fs::read_dir(bundles).into_iter().flatten().flatten() {
        for entry in fs::read_dir(bundle.path()).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name != "config.json" && name != "rootfs" {
                lines.insert(format!("bundle file {}", entry.path().display()));
            }
        }
        add_special_files(lines, &bundle.path());
    }
}

fn add_special_files(lines: &mut BTreeSet<String>, dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            add_special_files(lines, &entry.path());
        } else if kind.is_fifo() || kind.is_socket() {
            lines.insert(format!("bundle fifo {}", entry.path().display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(lines: &[&str]) -> Machine {
        Machine { lines: lines.iter().map(|line| (*line).to_owned()).collect() }
    }

    #[test]
    fn a_difference_names_what_is_new_and_what_is_gone() {
        let before = machine(&["mount 1", "mount 2", "cgroup /b"]);
        let after = machine(&["mount 1", "cgroup /a/b", "file ROOT/.cache/x"]);
        assert_eq!(
            before.difference(&after, Executor::Native),
            ["left behind: cgroup /a/b", "left behind: file ROOT/.cache/x", "gone: mount 2"]
        );
        assert_eq!(
            before.difference(&after, Executor::Crun),
            ["left behind: cgroup /a/b", "gone: mount 2"]
        );
        assert!(before.difference(&before, Executor::Native).is_empty());
    }

    #[test]
    fn only_the_options_of_a_cgroup_mount_may_change() {
        let before = machine(&["mount 7 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate"]);
        let after = machine(&[
            "mount 7 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
            "mount 8 / /b/rootfs/sys/fs/cgroup rw - cgroup2 cgroup2 rw",
        ]);
        let left = "left behind: mount 8 / /b/rootfs/sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        assert_eq!(before.difference(&after, Executor::Crun), [left]);
        assert_eq!(before.difference(&after, Executor::Native).len(), 3);
    }

    #[test]
    fn new_cgroups_come_deepest_first() {
        let before = machine(&["cgroup /x"]);
        let after = machine(&["cgroup /x", "cgroup /y", "cgroup /y/z", "mount 1"]);
        assert_eq!(before.new_cgroups(&after), [PathBuf::from("/y/z"), PathBuf::from("/y")]);
    }
}

//! The three arrangements of `/sys/fs/cgroup` that a runtime has to cope with.
//!
//! A view is private to the test process: it runs in a mount namespace of its own, so nothing on the
//! machine changes and nothing has to be undone.

use std::ffi::CStr;
use std::fmt;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use rustix::mount::MountFlags;
use rustix::mount::UnmountFlags;

use crate::verdict::Context;
use crate::verdict::Stop;
use crate::verdict::Verdict;

/// Where the cgroup file systems are mounted.
pub const CGROUPS: &str = "/sys/fs/cgroup";

/// Set while re-executing, so that the namespace is entered once.
const ENTERED: &str = "LXCRI_TEST_NAMESPACE";

/// An arrangement of the cgroup file systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The machine as it is: v1 controllers and a v2 tree beside them at `unified`.
    Hybrid,
    /// The v1 hierarchies alone.
    V1,
    /// One v2 tree at `/sys/fs/cgroup` (with the controllers that v1 does not hold).
    V2,
}

impl View {
    /// Moves this process into the view.
    ///
    /// Has to be the first thing that `main` does: the process executes itself again in a new mount
    /// namespace, which is only possible for a process that has nothing to lose yet.
    ///
    /// # Errors
    /// A failure when the namespace or a mount is refused, a skip when the machine has not got what
    /// the view needs.
    pub fn enter(self) -> Verdict {
        own_mount_namespace()?;
        match self {
            Self::Hybrid if is_unified() => {
                Err(Stop::Skipped("this machine has no v1 controllers".to_owned()))
            }
            Self::Hybrid => Ok(()),
            Self::V1 => show_v1_alone(),
            Self::V2 => show_v2_alone(),
        }
    }

    /// The directories below which containers have their cgroups: one per hierarchy.
    #[must_use]
    pub fn hierarchies(self) -> Vec<PathBuf> {
        match self {
            Self::V2 => vec![PathBuf::from(CGROUPS)],
            Self::V1 | Self::Hybrid => entries(Path::new(CGROUPS)),
        }
    }

    /// The cgroup `path` (absolute, as in `cgroupsPath`) of v1 controller `controller`, or of the v2
    /// tree in the v2 view.
    #[must_use]
    pub fn cgroup(self, controller: &str, path: &str) -> PathBuf {
        let root = match self {
            Self::V2 => PathBuf::from(CGROUPS),
            Self::V1 | Self::Hybrid => Path::new(CGROUPS).join(controller),
        };
        root.join(path.trim_start_matches('/'))
    }

    /// Whether the view offers a controller (in v2: whether the root lists it).
    #[must_use]
    pub fn has_controller(self, controller: &str) -> bool {
        match self {
            Self::V2 => fs::read_to_string(Path::new(CGROUPS).join("cgroup.controllers"))
                .is_ok_and(|list| list.split_whitespace().any(|name| name == controller)),
            Self::V1 | Self::Hybrid => {
                Path::new(CGROUPS).join(controller).join("cgroup.procs").exists()
            }
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hybrid => "hybrid",
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}

/// Executes this program again in a private mount namespace, unless that has happened already.
fn own_mount_namespace() -> Verdict {
    if std::env::var_os(ENTERED).is_some() {
        return Ok(());
    }
    let program = std::env::current_exe()?;
    // unshare(1) rather than the system call: it is safe code here, and util-linux is everywhere.
    let error = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(ENTERED, "1")
        .exec();
    Err(Stop::Failed(format!("unshare: {error}")))
}

/// Whether the machine itself has a v2 tree alone.
fn is_unified() -> bool {
    Path::new(CGROUPS).join("cgroup.controllers").exists()
}

/// A fresh tmpfs with binds of the v1 hierarchies. Unmounting `unified` instead would leave a plain
/// directory there, into which runtimes write.
fn show_v1_alone() -> Verdict {
    if is_unified() {
        return Err(Stop::Skipped("this machine has no v1 controllers".to_owned()));
    }
    let stage = tempfile::tempdir()?;
    let mount = |source: &Path, target: &Path| {
        rustix::mount::mount_bind_recursive(source, target).context(format!(
            "bind {} on {}",
            source.display(),
            target.display()
        ))
    };
    rustix::mount::mount(c"tmpfs", stage.path(), c"tmpfs", MountFlags::empty(), c"mode=755")
        .context("tmpfs for the v1 view")?;
    for source in entries(Path::new(CGROUPS)) {
        if source.join("cgroup.controllers").exists() {
            continue;
        }
        let target = stage.path().join(source.file_name().context("a hierarchy without name")?);
        if source.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
            continue;
        }
        fs::create_dir(&target)?;
        mount(&source, &target)?;
    }
    rustix::mount::unmount(CGROUPS, UnmountFlags::DETACH).context(CGROUPS)?;
    rustix::mount::mount_move(stage.path(), CGROUPS).context(CGROUPS)?;
    Ok(())
}

/// A v2 mount in the place of everything at `/sys/fs/cgroup`.
fn show_v2_alone() -> Verdict {
    if is_unified() {
        return Ok(());
    }
    rustix::mount::unmount(CGROUPS, UnmountFlags::DETACH).context(CGROUPS)?;
    rustix::mount::mount(c"none", CGROUPS, c"cgroup2", MountFlags::empty(), None::<&CStr>)
        .context("cgroup2")?;
    Ok(())
}

/// The entries of a directory, sorted.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

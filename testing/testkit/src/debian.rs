//! A small Debian root file system: dynamic linking, bash, real accounts.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::process::output_of;
use crate::runtime::repository;
use crate::verdict::Context;
use crate::verdict::Stop;
use crate::verdict::Verdict;

/// Names a root file system that is there already: a guest uses the host's.
pub const ROOT: &str = "LXCRI_DEBIAN_ROOT";

/// The root file system, made once and kept in the cache. It is shared by tests: mount it read-only.
///
/// # Errors
/// A skip with the script's words when it cannot be made, for instance without network.
pub fn root() -> Verdict<PathBuf> {
    if let Some(made) = std::env::var_os(ROOT) {
        return Ok(PathBuf::from(made));
    }
    let script = repository().join("testing/scripts/debian-root.sh");
    script_output(&script).map_err(|stop| Stop::Skipped(stop.to_string()))
}

/// The directory with `bin/crun` and `bin/runc` of Debian sid.
///
/// # Errors
/// A skip with the script's words when they cannot be fetched.
pub fn peers() -> Verdict<PathBuf> {
    static FOUND: OnceLock<Verdict<PathBuf>> = OnceLock::new();
    let script = || repository().join("testing/scripts/peers.sh");
    let found = FOUND.get_or_init(|| script_output(&script()));
    found.clone().map_err(|stop| Stop::Skipped(stop.to_string()))
}

/// The directory with `bin/dockerd` and `bin/docker`.
///
/// # Errors
/// A skip with the script's words when they cannot be fetched.
pub fn docker() -> Verdict<PathBuf> {
    let script = repository().join("testing/scripts/docker.sh");
    script_output(&script).map_err(|stop| Stop::Skipped(stop.to_string()))
}

/// The directory with the archives of a large image: see `testing/scripts/bench-image.sh`.
///
/// # Errors
/// A failure with the script's words when they cannot be made.
pub fn large_image() -> Verdict<PathBuf> {
    script_output(&repository().join("testing/scripts/bench-image.sh"))
}

/// The directory whose name a script prints as its last line.
fn script_output(script: &Path) -> Verdict<PathBuf> {
    let printed = output_of(&mut Command::new(script))?;
    let last = printed.lines().last().context(format!("{} printed nothing", script.display()))?;
    Ok(PathBuf::from(last))
}

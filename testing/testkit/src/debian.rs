//! A small Debian root file system: dynamic linking, bash, real accounts.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::process::output_of;
use crate::runtime::repository;
use crate::verdict::Context;
use crate::verdict::Stop;
use crate::verdict::Verdict;

/// The root file system, made once and kept in the cache. It is shared by tests: mount it read-only.
///
/// # Errors
/// A skip with the script's words when it cannot be made, for instance without network.
pub fn root() -> Verdict<PathBuf> {
    let script = repository().join("testing/scripts/debian-root.sh");
    script_output(&script).map_err(|stop| Stop::Skipped(stop.to_string()))
}

/// The directory with `bin/crun` and `bin/runc` of Debian sid.
///
/// # Errors
/// A skip with the script's words when they cannot be fetched.
pub fn peers() -> Verdict<PathBuf> {
    let script = repository().join("testing/scripts/peers.sh");
    script_output(&script).map_err(|stop| Stop::Skipped(stop.to_string()))
}

/// The directory whose name a script prints as its last line.
fn script_output(script: &Path) -> Verdict<PathBuf> {
    let printed = output_of(&mut Command::new(script))?;
    let last = printed.lines().last().context(format!("{} printed nothing", script.display()))?;
    Ok(PathBuf::from(last))
}

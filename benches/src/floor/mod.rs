//! From a bundle to the system calls that it takes at the very least, for `lxcri-floor`.
//!
//! What the bundle does not ask of the kernel is left out: no file is read, nothing is checked, no
//! state is kept, no program protects itself. Where there are several ways, the cheapest is taken. What
//! this translation does not know is refused: a floor that does less than the bundle asks would lie.

mod cgroups;
mod config;
mod init;
mod mounts;

use std::path::Path;
use std::path::PathBuf;

use lxcri_floor::plan::Plan;
use lxcri_linux::cgroup::Cgroup;
use lxcri_linux::cgroup::Layout;
use lxcri_testkit::Verdict;
use lxcri_testkit::verdict::Context;

use crate::bundles::Bundle;
use config::Config;

/// A part of `struct clone_args` (linux/sched.h) up to `cgroup`, in 64-bit words.
const CLONE_ARGS: [u64; 11] = [0; 11];
const EXIT_SIGNAL: u64 = 4;
const CGROUP: u64 = 10;
/// `CLONE_INTO_CGROUP` (linux/sched.h).
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Writes the plan of one bundle in the view of this process; the path of the plan.
pub(crate) fn write(bundle: &Bundle, payload: &[&str], file: &Path) -> Verdict<PathBuf> {
    let config = Config::read(bundle, payload)?;
    let path = format!("/{}-floor", bundle.cgroup.trim_start_matches('/'));
    let cgroup = Layout::detect()
        .and_then(|layout| Cgroup::plan(&layout, Some(&path), "floor"))
        .context("the cgroups of the floor")?;
    let bytes = plan(&config, &cgroup)?.bytes().context("the floor's plan")?;
    std::fs::write(file, bytes).context(file.display())?;
    Ok(file.to_owned())
}

/// Everything from the first cgroup directory to its removal.
fn plan(config: &Config, cgroup: &Cgroup) -> Verdict<Plan> {
    let mut plan = Plan::default();
    let mut cgroups = cgroups::make(&mut plan, config, cgroup)?;
    let args = plan.words(&CLONE_ARGS);
    let mut flags = config.clone_flags;
    if let Some(directory) = cgroups.clone_into {
        flags |= CLONE_INTO_CGROUP;
        plan.store_64(args.offset(CGROUP * 8), directory);
    }
    plan.store_64(args, flags);
    plan.store_64(args.offset(EXIT_SIGNAL * 8), libc::SIGCHLD as u64);
    let size = size_of_val(&CLONE_ARGS) as u64;
    let child = plan.fork(libc::SYS_clone3, &[args.into(), size.into()]);
    cgroups.join(&mut plan, child);
    let status = plan.words(&[0]);
    plan.call(libc::SYS_wait4, &[child.into(), status.into(), 0.into(), 0.into()]);
    plan.expect(status, 0);
    cgroups.remove(&mut plan);
    plan.call(libc::SYS_exit_group, &[0.into()]);
    plan.child_begins(child);
    init::prepare(&mut plan, config, cgroup, &cgroups)?;
    Ok(plan)
}

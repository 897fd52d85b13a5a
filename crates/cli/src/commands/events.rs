//! `events`.

use std::process::ExitCode;
use std::time::Duration;

use lxcri_core::id::ContainerId;
use lxcri_core::runtime::Runtime;
use lxcri_linux::cgroup::Stats;
use lxcri_linux::process::PidFd;
use serde::Serialize;

use super::id;
use crate::failure::Failure;
use crate::program::Program;
use crate::{output, size};

/// Words of `events`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri events --stats web-1
  proxmox-lxcri events --interval 1s web-1")]
pub(crate) struct Args {
    /// Time between two lines
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = size::duration)]
    interval: Duration,
    /// Print one line and end
    #[arg(long, conflicts_with = "interval")]
    stats: bool,
    /// The container
    id: String,
}

/// One line, as runc writes it.
#[derive(Serialize)]
struct Event<'e> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'e Stats>,
}

/// Prints usage until the container ends.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let runtime = program.runtime()?;
    let id = id(&args.id)?;
    if args.stats {
        print(&id, "stats", Some(&runtime.stats(&id)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    // Fails where there is nothing to watch.
    let mut kills = killed(&runtime.stats(&id)?);
    let Some(init) = init(&runtime, &id)? else { return Ok(ExitCode::SUCCESS) };
    while !ended(&init, args.interval)? {
        let stats = match runtime.stats(&id) {
            // It ended in between, and its cgroup with it.
            Err(_) if ended(&init, Duration::ZERO)? => break,
            stats => stats?,
        };
        if killed(&stats) > kills {
            print(&id, "oom", None)?;
        }
        kills = killed(&stats);
        print(&id, "stats", Some(&stats))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn init(runtime: &Runtime<'_>, id: &ContainerId) -> Result<Option<PidFd>, Failure> {
    let process = runtime.find(id)?.observed.process;
    let opened = process.map(|process| process.open()).transpose();
    Ok(opened.map_err(Failure::of("watch the container's init"))?.flatten())
}

fn ended(init: &PidFd, patience: Duration) -> Result<bool, Failure> {
    init.wait_for_end(Some(patience)).map_err(Failure::of("watch the container's init"))
}

fn print(id: &ContainerId, kind: &'static str, data: Option<&Stats>) -> Result<(), Failure> {
    output::json(&Event { kind, id: id.as_str(), data }, "")
}

fn killed(stats: &Stats) -> u64 {
    stats.memory.as_ref().map_or(0, |memory| memory.event_count.oom_kill)
}

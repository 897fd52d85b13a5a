//! Memory.

use lxcri_linux::cgroup::Memory;
use lxcri_linux::cgroup::convert::set;

use super::super::planner::Planner;
use super::super::problem::{Problem, Result};
use super::super::read_back::Wanted;
use super::Limit;

const LIMIT: &str = "linux.resources.memory.limit";
const RESERVATION: &str = "linux.resources.memory.reservation";
const SWAP: &str = "linux.resources.memory.swap";

pub(super) fn plan(planner: &mut Planner<'_>, memory: &Memory) -> Result<()> {
    refuse_others(planner, memory);
    let (limit, swap) = (set(memory.limit), set(memory.swap));
    if let Some(limit) = limit {
        add(planner, LIMIT, ["memory.limit_in_bytes", "memory.max"], limit)?;
    }
    if let Some(reservation) = set(memory.reservation) {
        let files = ["memory.soft_limit_in_bytes", "memory.low"];
        add(planner, RESERVATION, files, reservation)?;
    }
    // A new cgroup has no limit of swap.
    if let Some(swap) = swap.filter(|swap| *swap > 0) {
        add_swap(planner, limit, swap)?;
    }
    Ok(())
}

/// v1's file and v2's take the same number, but for the word that is no limit.
fn add(planner: &mut Planner<'_>, field: &str, files: [&str; 2], value: i64) -> Result<()> {
    let Some(is_v1) = planner.is_v1(field, "memory") else { return Ok(()) };
    let [v1, v2] = files;
    let value = match (value < 0, is_v1) {
        (true, true) => "-1".to_owned(),
        (true, false) => "max".to_owned(),
        (false, _) => value.to_string(),
    };
    let wanted = value.parse().map_or(Wanted::Unlimited, Wanted::Bytes);
    let file = if is_v1 { v1 } else { v2 };
    planner.limit(Limit { field, controller: "memory", file, value, wanted })
}

/// config.json and v1 limit memory plus swap, v2 swap alone.
fn add_swap(planner: &mut Planner<'_>, limit: Option<i64>, swap: i64) -> Result<()> {
    let Some(is_v1) = planner.is_v1(SWAP, "memory") else { return Ok(()) };
    let Some(limit) = limit.filter(|limit| *limit > 0) else {
        return Err(Problem::field(SWAP, "needs a memory limit beside it"));
    };
    if swap < limit {
        let problem = "is lower than the memory limit, which it includes";
        return Err(Problem::field(SWAP, problem));
    }
    let counts_swap = planner.host.cgroups.counts_swap;
    // Without swap accounting there is no swap to forbid.
    if !counts_swap && (is_v1 || swap > limit) {
        planner.refuse(SWAP, "the kernel does not account swap");
        return Ok(());
    }
    if is_v1 {
        return add(planner, SWAP, ["memory.memsw.limit_in_bytes", ""], swap);
    }
    if counts_swap { add(planner, SWAP, ["", "memory.swap.max"], swap - limit) } else { Ok(()) }
}

fn refuse_others(planner: &mut Planner<'_>, memory: &Memory) {
    const LATER: &str = "the lxc backend does not apply it yet";
    let asked = [
        ("kernel", set(memory.kernel).is_some()),
        ("kernelTCP", set(memory.kernel_tcp).is_some()),
        ("swappiness", memory.swappiness.is_some()),
        ("disableOOMKiller", memory.disable_oom_killer == Some(true)),
        ("checkBeforeUpdate", memory.check_before_update == Some(true)),
    ];
    for (name, is_asked) in asked {
        if is_asked {
            planner.refuse(&format!("linux.resources.memory.{name}"), LATER);
        }
    }
    if memory.use_hierarchy.is_some() {
        planner.ignore("linux.resources.memory.useHierarchy", "every kernel in use does so");
    }
}

//! CPU time and CPU sets.

use lxcri_linux::cgroup::Cpu;
use lxcri_linux::cgroup::convert::{check_shares, set, set_unsigned, weight_of_shares};

use super::super::planner::Planner;
use super::super::problem::{Problem, Result};
use super::super::read_back::Wanted;
use super::Limit;

const SHARES: &str = "linux.resources.cpu.shares";
const QUOTA: &str = "linux.resources.cpu.quota";
const PERIOD: &str = "linux.resources.cpu.period";

pub(super) fn plan(planner: &mut Planner<'_>, cpu: &Cpu) -> Result<()> {
    refuse_others(planner, cpu);
    if let Some(shares) = set_unsigned(cpu.shares) {
        check_shares(shares).map_err(|error| Problem::field(SHARES, error.to_string()))?;
        let Some(is_v1) = planner.is_v1(SHARES, "cpu") else { return Ok(()) };
        if is_v1 {
            add(planner, SHARES, "cpu.shares", shares.to_string())?;
        } else {
            add(planner, SHARES, "cpu.weight", weight_of_shares(shares).to_string())?;
        }
    }
    bandwidth(planner, set(cpu.quota), set_unsigned(cpu.period))?;
    for (name, list) in [("cpus", &cpu.cpus), ("mems", &cpu.mems)] {
        if let Some(list) = list.as_deref().filter(|list| !list.is_empty()) {
            cpuset(planner, name, list)?;
        }
    }
    Ok(())
}

fn add(planner: &mut Planner<'_>, field: &str, file: &str, value: String) -> Result<()> {
    let wanted = Wanted::Words(value.clone());
    planner.limit(Limit { field, controller: "cpu", file, value, wanted })
}

/// A new cgroup has no quota, and a period of 100 ms.
fn bandwidth(planner: &mut Planner<'_>, quota: Option<i64>, period: Option<u64>) -> Result<()> {
    const DEFAULT_PERIOD: u64 = 100_000;
    if quota.is_none() && period.is_none() {
        return Ok(());
    }
    let field = if quota.is_some() { QUOTA } else { PERIOD };
    let Some(is_v1) = planner.is_v1(field, "cpu") else { return Ok(()) };
    if is_v1 {
        // The kernel checks the quota against the period, which therefore comes first.
        if let Some(period) = period {
            add(planner, PERIOD, "cpu.cfs_period_us", period.to_string())?;
        }
        if let Some(quota) = quota {
            add(planner, QUOTA, "cpu.cfs_quota_us", quota.max(-1).to_string())?;
        }
        return Ok(());
    }
    let quota =
        quota.filter(|quota| *quota > 0).map_or("max".to_owned(), |quota| quota.to_string());
    let period = period.unwrap_or(DEFAULT_PERIOD);
    add(planner, field, "cpu.max", format!("{quota} {period}"))
}

fn cpuset(planner: &mut Planner<'_>, name: &str, list: &str) -> Result<()> {
    let field = format!("linux.resources.cpu.{name}");
    let known = |byte: u8| byte.is_ascii_digit() || matches!(byte, b',' | b'-');
    if !list.bytes().all(known) {
        return Err(Problem::field(field, format!("{list:?} is not a list such as `0-3,7`")));
    }
    let (value, wanted) = (list.to_owned(), Wanted::Set(list.to_owned()));
    let file = format!("cpuset.{name}");
    planner.limit(Limit { field: &field, controller: "cpuset", file: &file, value, wanted })
}

fn refuse_others(planner: &mut Planner<'_>, cpu: &Cpu) {
    let asked = [
        ("burst", cpu.burst.is_some_and(|burst| burst != 0)),
        ("realtimeRuntime", set(cpu.realtime_runtime).is_some()),
        ("realtimePeriod", set_unsigned(cpu.realtime_period).is_some()),
        ("idle", cpu.idle.is_some_and(|idle| idle != 0)),
    ];
    for (name, is_asked) in asked {
        if is_asked {
            let field = format!("linux.resources.cpu.{name}");
            planner.refuse(&field, "the lxc backend does not apply it yet");
        }
    }
}

//! Limits on cgroup v1 (kernel: Documentation/admin-guide/cgroup-v1/{memory,cpusets,pids}.rst,
//! scheduler/sched-bwc.rst, scheduler/sched-rt-group.rst).

use rustix::io::Errno;

use super::controllers::{limits_cpu, limits_memory};
use super::convert::{check_list, check_shares, pids_max, set, set_unsigned};
use super::directory::Directory;
use super::error::{Error, MissingBecause, Result};
use super::resources::{Cpu, Memory, Resources};
use super::{Cgroup, block_io};

const LIMIT: &str = "memory.limit_in_bytes";
const LIMIT_WITH_SWAP: &str = "memory.memsw.limit_in_bytes";

pub(super) fn apply(cgroup: &Cgroup, resources: &Resources) -> Result<()> {
    if let Some(memory) = &resources.memory {
        check_memory(memory)?;
        // Without the controller nobody disables the killer, so "do not disable" is true already.
        let keep_killer = memory.disable_oom_killer == Some(false);
        if limits_memory(memory) || keep_killer && cgroup.controller("memory").is_some() {
            apply_memory(&open(cgroup, "memory limit", "memory")?, memory)?;
        }
    }
    if let Some(cpu) = &resources.cpu {
        let lists = lists(cpu)?;
        if limits_cpu(cpu) {
            apply_cpu(&open(cgroup, "cpu limit", "cpu")?, cpu)?;
        }
        if !lists.is_empty() {
            let directory = open(cgroup, "cpu set", "cpuset")?;
            lists.iter().try_for_each(|(file, list)| directory.write(file, list))?;
        }
    }
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        open(cgroup, "pids limit", "pids")?.write("pids.max", &pids_max(limit))?;
    }
    resources.block_io.as_ref().map_or(Ok(()), |io| block_io::apply_v1(cgroup, io))
}

fn open(cgroup: &Cgroup, what: &str, controller: &str) -> Result<Directory> {
    cgroup.open_controller(controller)?.ok_or_else(|| Error::ControllerMissing {
        what: what.into(),
        controller: controller.into(),
        place: cgroup.path(),
        why: MissingBecause::NotMounted,
    })
}

/// What the kernel would refuse with a number only, or only after the first write.
fn check_memory(memory: &Memory) -> Result<()> {
    if let Some(swappiness) = memory.swappiness
        && swappiness > 100
    {
        return Err(Error::Invalid {
            field: "memory.swappiness".into(),
            value: swappiness.to_string(),
            reason: "is not between 0 and 100",
        });
    }
    if let (Some(limit), Some(swap)) = (set(memory.limit), set(memory.swap))
        && swap > 0
        && swap < limit
    {
        return Err(Error::Invalid {
            field: "memory.swap".into(),
            value: swap.to_string(),
            reason: "is lower than the memory limit, which it includes",
        });
    }
    Ok(())
}

fn apply_memory(directory: &Directory, memory: &Memory) -> Result<()> {
    if let Some(hierarchical) = memory.use_hierarchy {
        directory.write("memory.use_hierarchy", if hierarchical { "1" } else { "0" })?;
    }
    apply_limits(directory, set(memory.limit), set(memory.swap))?;
    let values = [
        ("memory.soft_limit_in_bytes", memory.reservation),
        ("memory.kmem.limit_in_bytes", memory.kernel),
        ("memory.kmem.tcp.limit_in_bytes", memory.kernel_tcp),
    ];
    for (file, value) in values {
        if let Some(value) = set(value) {
            directory.write(file, &value.max(-1).to_string())?;
        }
    }
    if let Some(disable) = memory.disable_oom_killer {
        directory.write("memory.oom_control", if disable { "1" } else { "0" })?;
    }
    if let Some(swappiness) = memory.swappiness {
        directory.write("memory.swappiness", &swappiness.to_string())?;
    }
    Ok(())
}

/// The kernel insists at every moment that the limit of memory plus swap is not below that of
/// memory, so the order of the two writes depends on whether they are raised or lowered.
fn apply_limits(directory: &Directory, limit: Option<i64>, swap: Option<i64>) -> Result<()> {
    let both_unlimited = limit.is_some_and(|l| l < 0) && swap.is_none();
    if both_unlimited {
        write_swap(directory, -1, true)?;
        return write_limit(directory, -1);
    }
    let (Some(limit), Some(swap)) = (limit, swap) else {
        if let Some(limit) = limit {
            write_limit(directory, limit)?;
        }
        return swap.map_or(Ok(()), |swap| write_swap(directory, swap, swap < 0));
    };
    if swap < 0 || i128::from(read_number(directory, LIMIT)?) < i128::from(swap) {
        write_swap(directory, swap, swap < 0)?;
        write_limit(directory, limit)
    } else {
        write_limit(directory, limit)?;
        write_swap(directory, swap, false)
    }
}

fn write_limit(directory: &Directory, limit: i64) -> Result<()> {
    let text = limit.max(-1).to_string();
    match directory.try_write(LIMIT, &text) {
        Ok(()) => Ok(()),
        // The kernel could not reclaim enough.
        Err(Errno::BUSY) => Err(Error::BelowUsage {
            path: directory.path().to_owned(),
            limit,
            usage: read_number(directory, "memory.usage_in_bytes")?,
        }),
        Err(e) => Err(directory.write_failed(LIMIT, &text, e)),
    }
}

/// `or_missing`: an unlimited value needs no file to be true.
fn write_swap(directory: &Directory, swap: i64, or_missing: bool) -> Result<()> {
    let text = swap.max(-1).to_string();
    match directory.try_write(LIMIT_WITH_SWAP, &text) {
        Ok(()) => Ok(()),
        Err(Errno::NOENT) if or_missing => Ok(()),
        Err(Errno::NOENT) => Err(Error::NotOffered {
            what: "memory.swap",
            reason: "the kernel does not account swap (swapaccount=0)",
        }),
        Err(e) => Err(directory.write_failed(LIMIT_WITH_SWAP, &text, e)),
    }
}

fn read_number(directory: &Directory, file: &str) -> Result<u64> {
    let text = directory.read(file)?;
    let path = directory.path().join(file);
    text.trim().parse().map_err(|_| Error::Content { path, content: text.trim().to_owned() })
}

fn lists(cpu: &Cpu) -> Result<Vec<(&'static str, &str)>> {
    let mut writes = Vec::new();
    for (field, file, list) in
        [("cpu.cpus", "cpuset.cpus", &cpu.cpus), ("cpu.mems", "cpuset.mems", &cpu.mems)]
    {
        if let Some(list) = list.as_deref().filter(|list| !list.is_empty()) {
            check_list(field, list)?;
            writes.push((file, list));
        }
    }
    Ok(writes)
}

fn apply_cpu(directory: &Directory, cpu: &Cpu) -> Result<()> {
    // An idle group has no shares: leave idle first, enter it last.
    if cpu.idle == Some(0) {
        directory.write("cpu.idle", "0")?;
    }
    if let Some(shares) = set_unsigned(cpu.shares) {
        check_shares(shares)?;
        directory.write("cpu.shares", &shares.to_string())?;
    }
    if let Some(idle) = cpu.idle.filter(|idle| *idle != 0) {
        directory.write("cpu.idle", &idle.to_string())?;
    }
    let quota = set(cpu.quota).map(|quota| quota.max(-1).to_string());
    write_together(
        directory,
        &[
            ("cpu.cfs_burst_us", cpu.burst.map(|burst| burst.to_string())),
            ("cpu.cfs_period_us", set_unsigned(cpu.period).map(|period| period.to_string())),
            ("cpu.cfs_quota_us", quota),
        ],
    )?;
    write_together(
        directory,
        &[
            ("cpu.rt_period_us", set_unsigned(cpu.realtime_period).map(|p| p.to_string())),
            ("cpu.rt_runtime_us", set(cpu.realtime_runtime).map(|r| r.to_string())),
        ],
    )
}

/// Writes values that the kernel checks against each other: what it refuses at first (EINVAL) may
/// be right once the others are written, so it is tried once more.
pub(super) fn write_together(
    directory: &Directory,
    values: &[(&str, Option<String>)],
) -> Result<()> {
    let mut again = Vec::new();
    for (file, value) in values {
        let Some(value) = value else { continue };
        match directory.try_write(file, value) {
            Ok(()) => {}
            Err(Errno::INVAL) => again.push((file, value)),
            Err(e) => return Err(directory.write_failed(file, value, e)),
        }
    }
    again.into_iter().try_for_each(|(file, value)| directory.write(file, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_values_are_checked_before_anything_is_written() {
        let memory = |m: Memory| check_memory(&m);
        assert!(memory(Memory { swappiness: Some(101), ..Memory::default() }).is_err());
        assert!(memory(Memory { limit: Some(9), swap: Some(8), ..Memory::default() }).is_err());
        assert!(memory(Memory { limit: Some(9), swap: Some(-1), ..Memory::default() }).is_ok());
    }

    #[test]
    fn lists_are_checked() {
        let cpu = Cpu { cpus: Some("0-1".into()), mems: Some(String::new()), ..Cpu::default() };
        assert_eq!(lists(&cpu).unwrap(), [("cpuset.cpus", "0-1")]);
        assert!(lists(&Cpu { mems: Some("0\n".into()), ..Cpu::default() }).is_err());
    }
}

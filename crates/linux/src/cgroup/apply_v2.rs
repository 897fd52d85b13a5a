//! Limits on cgroup v2 (kernel: Documentation/admin-guide/cgroup-v2.rst).

use std::collections::BTreeMap;

use rustix::io::Errno;

use super::apply_v1::write_together;
use super::block_io;
use super::convert::{check_list, or_max, pids_max, set, set_unsigned, swap_max, weight_of_shares};
use super::directory::Directory;
use super::error::{Error, Result};
use super::resources::{Cpu, Memory, Resources};

pub(super) fn apply(directory: &Directory, resources: &Resources) -> Result<()> {
    if let Some(memory) = &resources.memory {
        apply_memory(directory, memory)?;
    }
    if let Some(cpu) = &resources.cpu {
        apply_cpu(directory, cpu)?;
        apply_cpuset(directory, cpu)?;
    }
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        directory.write("pids.max", &pids_max(limit))?;
    }
    resources.block_io.as_ref().map_or(Ok(()), |io| block_io::apply_v2(directory, io))
}

fn apply_memory(directory: &Directory, memory: &Memory) -> Result<()> {
    refuse_v1_memory(memory)?;
    let limit = set(memory.limit);
    if memory.check_before_update == Some(true) {
        check_usage(directory, limit)?;
    }
    if let Some(swap) = swap_max(memory.swap, memory.limit)? {
        match directory.try_write("memory.swap.max", &swap) {
            Ok(()) => {}
            // Without swap accounting there is no swap to limit or forbid.
            Err(Errno::NOENT) if swap == "max" || swap == "0" => {
                log::debug!("no memory.swap.max in {}", directory.path().display());
            }
            Err(e) => return Err(directory.write_failed("memory.swap.max", &swap, e)),
        }
    }
    if let Some(limit) = limit {
        directory.write("memory.max", &or_max(limit))?;
    }
    if let Some(reservation) = set(memory.reservation) {
        directory.write("memory.low", &or_max(reservation))?;
    }
    Ok(())
}

/// Settings that only v1 has. Refused like crun does, because leaving them out would give the
/// container something else than it asked for.
fn refuse_v1_memory(memory: &Memory) -> Result<()> {
    let reason = "cgroup v2 has no such setting";
    let asked = [
        ("memory.swappiness", memory.swappiness.is_some()),
        ("memory.disableOOMKiller", memory.disable_oom_killer == Some(true)),
        ("memory.kernel", set(memory.kernel).is_some_and(|v| v > 0)),
        ("memory.kernelTCP", set(memory.kernel_tcp).is_some_and(|v| v > 0)),
    ];
    for (what, asked) in asked {
        if asked {
            return Err(Error::NotOffered { what, reason });
        }
    }
    if memory.use_hierarchy == Some(false) {
        let reason = "cgroup v2 is always hierarchical";
        return Err(Error::NotOffered { what: "memory.useHierarchy", reason });
    }
    Ok(())
}

fn check_usage(directory: &Directory, limit: Option<i64>) -> Result<()> {
    let Some(limit) = limit.filter(|limit| *limit > 0) else {
        return Ok(());
    };
    let text = directory.read("memory.current")?;
    let usage: u64 = text.trim().parse().map_err(|_| Error::Content {
        path: directory.path().join("memory.current"),
        content: text.trim().to_owned(),
    })?;
    if i128::from(usage) > i128::from(limit) {
        return Err(Error::BelowUsage { path: directory.path().to_owned(), limit, usage });
    }
    Ok(())
}

fn apply_cpu(directory: &Directory, cpu: &Cpu) -> Result<()> {
    if set(cpu.realtime_runtime).is_some() || set_unsigned(cpu.realtime_period).is_some() {
        return Err(Error::NotOffered {
            what: "cpu.realtimeRuntime and cpu.realtimePeriod",
            reason: "cgroup v2 has no such setting",
        });
    }
    // An idle group has no weight: leave idle first, enter it last.
    if cpu.idle == Some(0) {
        directory.write("cpu.idle", "0")?;
    }
    if let Some(shares) = set_unsigned(cpu.shares) {
        directory.write("cpu.weight", &weight_of_shares(shares).to_string())?;
    }
    if let Some(idle) = cpu.idle.filter(|idle| *idle != 0) {
        directory.write("cpu.idle", &idle.to_string())?;
    }
    let current = || directory.read("cpu.max");
    let max = cpu_max(set(cpu.quota), set_unsigned(cpu.period), current)?;
    let burst = cpu.burst.map(|burst| burst.to_string());
    write_together(directory, &[("cpu.max.burst", burst), ("cpu.max", max)])
}

/// The line for `cpu.max`. A period alone keeps the quota, which must be repeated because the file
/// takes it first; a quota alone keeps the period by itself.
fn cpu_max(
    quota: Option<i64>,
    period: Option<u64>,
    current: impl FnOnce() -> Result<String>,
) -> Result<Option<String>> {
    Ok(match (quota.map(or_max), period) {
        (None, None) => None,
        (Some(quota), None) => Some(quota),
        (Some(quota), Some(period)) => Some(format!("{quota} {period}")),
        (None, Some(period)) => {
            let current = current()?;
            let quota = current.split_ascii_whitespace().next().unwrap_or("max");
            Some(format!("{quota} {period}"))
        }
    })
}

fn apply_cpuset(directory: &Directory, cpu: &Cpu) -> Result<()> {
    for (field, file, list) in
        [("cpu.cpus", "cpuset.cpus", &cpu.cpus), ("cpu.mems", "cpuset.mems", &cpu.mems)]
    {
        if let Some(list) = list.as_deref().filter(|list| !list.is_empty()) {
            check_list(field, list)?;
            directory.write(file, list)?;
        }
    }
    Ok(())
}

/// Writes the files of `unified`, which were checked before. Files such as `io.max` take one line
/// at a time.
pub(super) fn apply_unified(
    directory: &Directory,
    unified: &BTreeMap<String, String>,
) -> Result<()> {
    for (file, value) in unified {
        if value.trim().is_empty() {
            directory.write(file, "\n")?;
        }
        for line in value.lines().filter(|line| !line.trim().is_empty()) {
            directory.write(file, line)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_and_period() {
        let line =
            |quota, period| cpu_max(quota, period, || Ok("70000 100000\n".to_owned())).unwrap();
        assert_eq!(line(None, None), None);
        assert_eq!(line(Some(5000), None).as_deref(), Some("5000"));
        assert_eq!(line(Some(-1), Some(9)).as_deref(), Some("max 9"));
        assert_eq!(line(None, Some(50_000)).as_deref(), Some("70000 50000"));
    }

    #[test]
    fn settings_of_v1_are_refused_not_dropped() {
        let none = Memory::default();
        for memory in [
            Memory { swappiness: Some(0), ..none.clone() },
            Memory { disable_oom_killer: Some(true), ..none.clone() },
            Memory { kernel: Some(1), ..none.clone() },
            Memory { kernel_tcp: Some(1), ..none.clone() },
            Memory { use_hierarchy: Some(false), ..none.clone() },
        ] {
            assert!(refuse_v1_memory(&memory).is_err(), "{memory:?}");
        }
        let harmless = Memory {
            disable_oom_killer: Some(false),
            kernel: Some(-1),
            use_hierarchy: Some(true),
            ..none
        };
        assert!(refuse_v1_memory(&harmless).is_ok());
    }

    /// A directory with empty plain files: the same writes, visible afterwards.
    fn fake(files: &[&str]) -> (tempfile::TempDir, Directory) {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(directory.path().join(file), "").unwrap();
        }
        let opened = Directory::open(directory.path()).unwrap();
        (directory, opened)
    }

    fn resources(json: &str) -> Resources {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn every_limit_is_written() {
        let expected = [
            ("memory.max", "1000"),
            ("memory.swap.max", "500"),
            ("memory.low", "max"),
            ("cpu.weight", "59"),
            ("cpu.max", "5000 10000"),
            ("cpu.max.burst", "100"),
            ("cpu.idle", "1"),
            ("cpuset.cpus", "0-1"),
            ("cpuset.mems", "0"),
            ("pids.max", "max"),
        ];
        let files: Vec<_> = expected.iter().map(|(file, _)| *file).collect();
        let (_keep, directory) = fake(&files);
        let json = r#"{"memory":{"limit":1000,"swap":1500,"reservation":-1},
            "cpu":{"shares":512,"quota":5000,"period":10000,"burst":100,"idle":1,"cpus":"0-1","mems":"0"},
            "pids":{"limit":-1}}"#;
        apply(&directory, &resources(json)).unwrap();
        for (file, value) in expected {
            assert_eq!(directory.read(file).unwrap(), value, "{file}");
        }
    }

    #[test]
    fn what_is_not_asked_is_not_written() {
        let (_keep, directory) = fake(&[]);
        let json = r#"{"memory":{"limit":0,"disableOOMKiller":false},"cpu":{"shares":0,"cpus":""},"pids":{}}"#;
        apply(&directory, &resources(json)).unwrap();
        // Swap that is forbidden or unlimited needs no accounting; a real limit does.
        apply(&directory, &resources(r#"{"memory":{"swap":-1}}"#)).unwrap();
        let (_keep, directory) = fake(&["memory.max"]);
        apply(&directory, &resources(r#"{"memory":{"limit":9,"swap":9}}"#)).unwrap();
        assert!(apply(&directory, &resources(r#"{"memory":{"limit":9,"swap":10}}"#)).is_err());
        assert!(apply(&directory, &resources(r#"{"pids":{"limit":1}}"#)).is_err());
        assert!(apply(&directory, &resources(r#"{"cpu":{"realtimePeriod":1}}"#)).is_err());
    }

    #[test]
    fn a_limit_below_the_usage_is_refused_when_asked() {
        let (keep, directory) = fake(&["memory.max"]);
        std::fs::write(keep.path().join("memory.current"), "100\n").unwrap();
        let check = r#"{"memory":{"limit":99,"checkBeforeUpdate":true}}"#;
        let e = apply(&directory, &resources(check)).unwrap_err();
        assert!(matches!(e, Error::BelowUsage { limit: 99, usage: 100, .. }), "{e}");
        assert_eq!(directory.read("memory.max").unwrap(), "");
        for json in [
            r#"{"memory":{"limit":100,"checkBeforeUpdate":true}}"#,
            r#"{"memory":{"limit":-1,"checkBeforeUpdate":true,"swap":-1}}"#,
            r#"{"memory":{"limit":99}}"#,
        ] {
            assert!(apply(&directory, &resources(json)).is_ok(), "{json}");
        }
    }
}

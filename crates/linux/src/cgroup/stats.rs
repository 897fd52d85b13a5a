//! What the cgroup has used, in the shape of the `data` of runc's `events --stats`
//! (runc: types/events.go).

use std::collections::BTreeMap;

use serde::Serialize;

use super::Cgroup;
use super::directory::Directory;
use super::error::{Error, Result};

/// Statistics of one container. A part whose controller is not available is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// CPU time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuStats>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryStats>,
    /// Tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<PidsStats>,
}

/// CPU time used and withheld.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CpuStats {
    /// Time used.
    pub usage: CpuUsage,
    /// Time withheld because of the quota.
    pub throttling: Throttling,
}

/// CPU time in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CpuUsage {
    /// Altogether.
    pub total: u64,
    /// On each CPU; only v1 counts this.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// In user space.
    pub user: u64,
}

/// How the quota acted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Periods that passed.
    pub periods: u64,
    /// Periods in which the quota was used up.
    pub throttled_periods: u64,
    /// How long tasks had to wait, in nanoseconds.
    pub throttled_time: u64,
}

/// Memory in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MemoryStats {
    /// Page cache.
    pub cache: u64,
    /// Memory.
    pub usage: MemoryCounter,
    /// Memory plus swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<MemoryCounter>,
    /// `memory.stat` as the kernel gives it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// What happened at the limit.
    pub event_count: MemoryEvents,
}

/// One limited resource. `u64::MAX` as a limit means there is none on v2.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MemoryCounter {
    /// The limit.
    pub limit: u64,
    /// What is used now.
    pub usage: u64,
    /// The most that was used; 0 where the kernel does not tell.
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// Events of the memory controller since the cgroup was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MemoryEvents {
    /// Processes that the out-of-memory killer killed.
    pub oom_kill: u64,
    /// How often the limit was hit and nothing could be reclaimed (v2 only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom: Option<u64>,
}

/// Tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PidsStats {
    /// How many there are.
    pub current: u64,
    /// How many there may be; 0 for no limit, as runc has it.
    pub limit: u64,
}

impl Cgroup {
    /// Reads the statistics.
    ///
    /// # Errors
    /// When the cgroup does not exist, or a file cannot be read or understood.
    pub fn stats(&self) -> Result<Stats> {
        if self.v1.is_empty()
            && let Some(place) = &self.v2
        {
            return v2(&Directory::open(&place.directory())?);
        }
        let cpu = self.open_controller("cpu")?;
        let cpuacct = self.open_controller("cpuacct")?;
        Ok(Stats {
            cpu: v1_cpu(cpu.as_ref(), cpuacct.as_ref())?,
            memory: self.open_controller("memory")?.map(|d| v1_memory(&d)).transpose()?,
            pids: self.open_controller("pids")?.map(|d| pids(&d)).transpose()?.flatten(),
        })
    }
}

fn v2(directory: &Directory) -> Result<Stats> {
    // cpu.stat has the times even without the controller (kernel: cgroup-v2.rst "cpu.stat").
    let cpu = directory.read_if_present("cpu.stat")?;
    Ok(Stats {
        cpu: cpu.map(|text| flat(directory, "cpu.stat", &text)).transpose()?.map(|s| v2_cpu(&s)),
        memory: v2_memory(directory)?,
        pids: pids(directory)?,
    })
}

fn v2_cpu(stat: &BTreeMap<String, u64>) -> CpuStats {
    let get = |key: &str| stat.get(key).copied().unwrap_or_default();
    let nanoseconds = |key| get(key).saturating_mul(1000);
    CpuStats {
        usage: CpuUsage {
            total: nanoseconds("usage_usec"),
            percpu: Vec::new(),
            kernel: nanoseconds("system_usec"),
            user: nanoseconds("user_usec"),
        },
        throttling: Throttling {
            periods: get("nr_periods"),
            throttled_periods: get("nr_throttled"),
            throttled_time: nanoseconds("throttled_usec"),
        },
    }
}

fn v2_memory(directory: &Directory) -> Result<Option<MemoryStats>> {
    let Some(usage) = optional_number(directory, "memory.current")? else {
        return Ok(None);
    };
    let raw = flat(directory, "memory.stat", &directory.read("memory.stat")?)?;
    let events = flat(directory, "memory.events", &directory.read("memory.events")?)?;
    let event = |key: &str| events.get(key).copied();
    let usage = MemoryCounter {
        limit: number(directory, "memory.max")?,
        usage,
        max: optional_number(directory, "memory.peak")?.unwrap_or_default(),
        failcnt: event("max").unwrap_or_default(),
    };
    let swap = match optional_number(directory, "memory.swap.current")? {
        // Like v1 and runc: memory plus swap.
        Some(swap) => Some(MemoryCounter {
            limit: number(directory, "memory.swap.max")?.saturating_add(usage.limit),
            usage: swap.saturating_add(usage.usage),
            max: 0,
            failcnt: 0,
        }),
        None => None,
    };
    Ok(Some(MemoryStats {
        cache: raw.get("file").copied().unwrap_or_default(),
        usage,
        swap,
        raw,
        event_count: MemoryEvents {
            oom_kill: event("oom_kill").unwrap_or_default(),
            oom: event("oom"),
        },
    }))
}

fn v1_cpu(cpu: Option<&Directory>, cpuacct: Option<&Directory>) -> Result<Option<CpuStats>> {
    if cpu.is_none() && cpuacct.is_none() {
        return Ok(None);
    }
    let mut stats = CpuStats::default();
    if let Some(directory) = cpu {
        let stat = flat(directory, "cpu.stat", &directory.read("cpu.stat")?)?;
        let get = |key: &str| stat.get(key).copied().unwrap_or_default();
        stats.throttling = Throttling {
            periods: get("nr_periods"),
            throttled_periods: get("nr_throttled"),
            throttled_time: get("throttled_time"),
        };
    }
    if let Some(directory) = cpuacct {
        let text = directory.read("cpuacct.usage_percpu")?;
        let percpu = text
            .split_ascii_whitespace()
            .map(|word| parse(directory, "cpuacct.usage_percpu", word));
        stats.usage = CpuUsage {
            total: number(directory, "cpuacct.usage")?,
            percpu: percpu.collect::<Result<_>>()?,
            kernel: number(directory, "cpuacct.usage_sys")?,
            user: number(directory, "cpuacct.usage_user")?,
        };
    }
    Ok(Some(stats))
}

fn v1_memory(directory: &Directory) -> Result<MemoryStats> {
    let raw = flat(directory, "memory.stat", &directory.read("memory.stat")?)?;
    let control = directory.read("memory.oom_control")?;
    let control = flat(directory, "memory.oom_control", &control)?;
    let swapped = optional_number(directory, "memory.memsw.usage_in_bytes")?.is_some();
    Ok(MemoryStats {
        cache: raw.get("cache").copied().unwrap_or_default(),
        usage: v1_counter(directory, "memory")?,
        swap: if swapped { Some(v1_counter(directory, "memory.memsw")?) } else { None },
        raw,
        event_count: MemoryEvents {
            oom_kill: control.get("oom_kill").copied().unwrap_or_default(),
            oom: None,
        },
    })
}

fn v1_counter(directory: &Directory, prefix: &str) -> Result<MemoryCounter> {
    let read = |name: &str| number(directory, &format!("{prefix}.{name}"));
    Ok(MemoryCounter {
        limit: read("limit_in_bytes")?,
        usage: read("usage_in_bytes")?,
        max: read("max_usage_in_bytes")?,
        failcnt: read("failcnt")?,
    })
}

fn pids(directory: &Directory) -> Result<Option<PidsStats>> {
    let Some(current) = optional_number(directory, "pids.current")? else {
        return Ok(None);
    };
    let limit = number(directory, "pids.max")?;
    Ok(Some(PidsStats { current, limit: if limit == u64::MAX { 0 } else { limit } }))
}

fn number(directory: &Directory, file: &str) -> Result<u64> {
    parse(directory, file, directory.read(file)?.trim())
}

fn optional_number(directory: &Directory, file: &str) -> Result<Option<u64>> {
    directory.read_if_present(file)?.map(|text| parse(directory, file, text.trim())).transpose()
}

fn parse(directory: &Directory, file: &str, text: &str) -> Result<u64> {
    parse_number(text).ok_or_else(|| odd(directory, file, text))
}

fn odd(directory: &Directory, file: &str, content: &str) -> Error {
    Error::Content { path: directory.path().join(file), content: content.to_owned() }
}

/// A number; `max` is the largest.
fn parse_number(text: &str) -> Option<u64> {
    if text == "max" { Some(u64::MAX) } else { text.parse().ok() }
}

fn flat(directory: &Directory, file: &str, text: &str) -> Result<BTreeMap<String, u64>> {
    parse_flat(text).map_err(|line| odd(directory, file, line))
}

/// A flat keyed file: one `key value` per line. The error is the line that is not one.
fn parse_flat(text: &str) -> std::result::Result<BTreeMap<String, u64>, &str> {
    let mut map = BTreeMap::new();
    for line in text.lines() {
        let (key, value) = line.split_once(' ').ok_or(line)?;
        map.insert(key.to_owned(), parse_number(value).ok_or(line)?);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_keyed_files() {
        let map = parse_flat("usage_usec 12\nnr_periods 3\nlimit max\n").unwrap();
        assert_eq!(map["usage_usec"], 12);
        assert_eq!(map["limit"], u64::MAX);
        assert!(parse_flat("").unwrap().is_empty());
        for text in ["x", "x -1", "x 1 2", "x ", "x 99999999999999999999"] {
            assert!(parse_flat(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn microseconds_become_nanoseconds() {
        let stat =
            parse_flat("usage_usec 12\nuser_usec 5\nsystem_usec 7\nthrottled_usec 2\n").unwrap();
        let stats = v2_cpu(&stat);
        assert_eq!(
            (stats.usage.total, stats.usage.user, stats.usage.kernel),
            (12_000, 5_000, 7_000)
        );
        assert_eq!(stats.throttling.throttled_time, 2_000);
    }

    #[test]
    fn a_v2_directory() {
        let keep = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| std::fs::write(keep.path().join(file), text).unwrap();
        let directory = Directory::open(keep.path()).unwrap();
        assert_eq!(v2(&directory).unwrap(), Stats::default());
        write("cpu.stat", "usage_usec 3\nnr_throttled 2\n");
        write("memory.current", "100\n");
        write("memory.max", "max\n");
        write("memory.peak", "150\n");
        write("memory.stat", "anon 60\nfile 40\n");
        write("memory.events", "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\n");
        write("memory.swap.current", "5\n");
        write("memory.swap.max", "max\n");
        write("pids.current", "3\n");
        write("pids.max", "max\n");
        let json = serde_json::to_value(v2(&directory).unwrap()).unwrap();
        assert_eq!(json["cpu"]["usage"]["total"], 3000);
        assert_eq!(json["cpu"]["throttling"]["throttledPeriods"], 2);
        assert_eq!(json["memory"]["cache"], 40);
        assert_eq!(json["memory"]["usage"]["max"], 150);
        assert_eq!(json["memory"]["usage"]["failcnt"], 7);
        assert_eq!(json["memory"]["usage"]["limit"], u64::MAX);
        assert_eq!(json["memory"]["swap"]["usage"], 105);
        assert_eq!(json["memory"]["swap"]["limit"], u64::MAX);
        assert_eq!(json["memory"]["raw"]["anon"], 60);
        assert_eq!(json["memory"]["event_count"]["oom_kill"], 1);
        assert_eq!(json["pids"], serde_json::json!({"current": 3, "limit": 0}));
        write("pids.max", "many\n");
        assert!(matches!(v2(&directory), Err(Error::Content { .. })));
    }
}

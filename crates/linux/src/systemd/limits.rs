//! `linux.resources` as properties of a unit, so that systemd does not put its own values back when
//! it reloads (systemd.resource-control(5); the mapping is runc's). All of it is written to the
//! cgroup as well: that is exact where systemd rounds, and knows more files than systemd.

use std::path::Path;

use super::{Error, Property, Value};
use crate::cgroup::convert::{pids_max, set, set_unsigned, swap_max, weight_of_shares};
use crate::cgroup::{BlockIo, Cpu, Memory, Resources, ThrottleDevice};

/// The kernel's period where none was set.
const DEFAULT_PERIOD: u64 = 100_000;
/// systemd keeps quotas as whole percent of a processor: so many microseconds a second.
const PERCENT: u128 = 10_000;
/// More processors or memory nodes than any kernel has.
const MOST_BITS: usize = 1 << 16;
/// systemd's word for "no limit", and for "as nobody had said anything" of a weight.
const INFINITY: u64 = u64::MAX;

/// Memory, processor time, processors and tasks. `directory` is the unit's cgroup where it exists
/// already: a quota without a period counts over the period that is set there, and the other way
/// round.
///
/// # Errors
/// When a value is one that the kernel would not take.
pub fn properties(resources: &Resources, directory: Option<&Path>) -> Result<Vec<Property>, Error> {
    let mut found = Vec::new();
    if let Some(memory) = &resources.memory {
        add_memory(&mut found, memory)?;
    }
    if let Some(cpu) = &resources.cpu {
        add_cpu(&mut found, cpu, directory);
    }
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        found.extend(limit_of("TasksMax", &pids_max(limit)));
    }
    for (file, value) in &resources.unified {
        found.extend(unified(file, value.trim(), directory));
    }
    Ok(found)
}

fn number(name: &str, value: u64) -> Property {
    Property::optional(name, Value::U64(value))
}

/// A number or `max`, as it stands in a file of v2.
fn limit_of(name: &str, text: &str) -> Option<Property> {
    let value = if text == "max" { Some(INFINITY) } else { text.parse().ok() };
    value.map(|value| number(name, value))
}

/// A negative limit is none.
fn or_infinity(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(INFINITY)
}

fn add_memory(found: &mut Vec<Property>, memory: &Memory) -> Result<(), Error> {
    if let Some(limit) = set(memory.limit) {
        found.push(number("MemoryMax", or_infinity(limit)));
    }
    if let Some(reservation) = set(memory.reservation) {
        found.push(number("MemoryLow", or_infinity(reservation)));
    }
    if let Some(swap) = swap_max(memory.swap, memory.limit)? {
        found.extend(limit_of("MemorySwapMax", &swap));
    }
    Ok(())
}

fn add_cpu(found: &mut Vec<Property>, cpu: &Cpu, directory: Option<&Path>) {
    if let Some(shares) = set_unsigned(cpu.shares) {
        found.push(number("CPUWeight", weight_of_shares(shares)));
    }
    match cpu.idle {
        // systemd's word for it, since version 252.
        Some(1) => found.push(number("CPUWeight", 0)),
        Some(0) if set_unsigned(cpu.shares).is_none() => found.push(number("CPUWeight", INFINITY)),
        _ => {}
    }
    let quota = set(cpu.quota).map(or_infinity);
    add_quota(found, quota, set_unsigned(cpu.period), directory);
    for (name, list) in [("AllowedCPUs", &cpu.cpus), ("AllowedMemoryNodes", &cpu.mems)] {
        found.extend(list.as_deref().and_then(bits).map(|bits| set_of(name, bits)));
    }
}

fn set_of(name: &str, bits: Vec<u8>) -> Property {
    Property::optional(name, Value::Bytes(bits))
}

fn add_quota(
    found: &mut Vec<Property>,
    quota: Option<u64>,
    period: Option<u64>,
    directory: Option<&Path>,
) {
    if quota.is_none() && period.is_none() {
        return;
    }
    let (current_quota, current_period) = directory.and_then(current_quota).unwrap_or_default();
    if let Some(period) = period {
        found.push(number("CPUQuotaPeriodUSec", period));
    }
    let period = period.or(current_period).unwrap_or(DEFAULT_PERIOD);
    let a_second = match quota.or(current_quota).unwrap_or(INFINITY) {
        INFINITY => INFINITY,
        quota => per_second(quota, period),
    };
    found.push(number("CPUQuotaPerSecUSec", a_second));
}

/// Rounded up to a percent, because systemd would round it down when it reloads.
fn per_second(quota: u64, period: u64) -> u64 {
    let exact = u128::from(quota) * 1_000_000 / u128::from(period.max(1));
    u64::try_from(exact.next_multiple_of(PERCENT)).unwrap_or(INFINITY)
}

/// `cpu.max`: quota (none for `max`) and period.
fn current_quota(directory: &Path) -> Option<(Option<u64>, Option<u64>)> {
    let text = std::fs::read_to_string(directory.join("cpu.max")).ok()?;
    let mut words = text.split_ascii_whitespace().map(|word| word.parse().ok());
    Some((words.next()?, words.next()?))
}

/// `0-3,7` as bits, the lowest first. None for what systemd has no way to say (the kernel takes
/// `0-31:2/4`, too).
fn bits(list: &str) -> Option<Vec<u8>> {
    let mut bits = Vec::new();
    for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= MOST_BITS {
            return None;
        }
        for bit in first..=last {
            if bits.len() <= bit / 8 {
                bits.resize(bit / 8 + 1, 0_u8);
            }
            bits[bit / 8] |= 1 << (bit % 8);
        }
    }
    (!bits.is_empty()).then_some(bits)
}

/// What systemd knows of the files of `unified`; the others are nobody's but ours.
fn unified(file: &str, value: &str, directory: Option<&Path>) -> Vec<Property> {
    let limit = |name| limit_of(name, value).into_iter().collect();
    let bits = |name| bits(value).map(|bits| set_of(name, bits)).into_iter().collect();
    match file {
        "memory.min" => limit("MemoryMin"),
        "memory.low" => limit("MemoryLow"),
        "memory.high" => limit("MemoryHigh"),
        "memory.max" => limit("MemoryMax"),
        "memory.swap.max" => limit("MemorySwapMax"),
        "memory.oom.group" => {
            let policy = if value == "1" { "kill" } else { "continue" };
            vec![Property::optional("OOMPolicy", Value::Text(policy.to_owned()))]
        }
        "pids.max" => limit("TasksMax"),
        "cpu.weight" => limit("CPUWeight"),
        "cpu.idle" if value == "1" => vec![number("CPUWeight", 0)],
        "io.weight" => {
            limit_of("IOWeight", value.trim_start_matches("default").trim()).into_iter().collect()
        }
        "cpuset.cpus" => bits("AllowedCPUs"),
        "cpuset.mems" => bits("AllowedMemoryNodes"),
        "cpu.max" => {
            let mut words = value.split_ascii_whitespace();
            let quota = words.next().map(|word| word.parse().unwrap_or(INFINITY));
            let period = words.next().and_then(|word| word.parse().ok());
            let mut found = Vec::new();
            add_quota(&mut found, quota, period, directory);
            found
        }
        _ => Vec::new(),
    }
}

/// Block I/O, for a unit whose cgroup exists at `directory`: which of two scales a weight is on is
/// only seen there.
#[must_use]
pub fn io_properties(io: &BlockIo, directory: &Path) -> Vec<Property> {
    let has_bfq = directory.join("io.bfq.weight").exists();
    let weight = |weight: u16| if has_bfq { of_bfq(weight) } else { of_blkio(weight) };
    let mut found = Vec::new();
    if let Some(asked) = io.weight.filter(|weight| *weight != 0) {
        found.push(number("IOWeight", weight(asked)));
    }
    let weighted = io.weight_device.iter().filter_map(|device| {
        let asked = device.weight.filter(|weight| *weight != 0)?;
        Some((block_device(device.major, device.minor), weight(asked)))
    });
    let weighted: Vec<_> = weighted.collect();
    if !weighted.is_empty() {
        found.push(Property::optional("IODeviceWeight", Value::Devices(weighted)));
    }
    let throttles = [
        ("IOReadBandwidthMax", &io.throttle_read_bps_device),
        ("IOWriteBandwidthMax", &io.throttle_write_bps_device),
        ("IOReadIOPSMax", &io.throttle_read_iops_device),
        ("IOWriteIOPSMax", &io.throttle_write_iops_device),
    ];
    for (name, devices) in throttles {
        if !devices.is_empty() {
            let devices = devices.iter().map(throttle).collect();
            found.push(Property::optional(name, Value::Devices(devices)));
        }
    }
    found
}

/// A rate of 0 is no limit, as on v1.
fn throttle(device: &ThrottleDevice) -> (String, u64) {
    let rate = if device.rate == 0 { INFINITY } else { device.rate };
    (block_device(device.major, device.minor), rate)
}

/// systemd takes paths only.
fn block_device(major: i64, minor: i64) -> String {
    format!("/dev/block/{major}:{minor}")
}

/// The weight of v1 (10 to 1000) as `io.weight` (1 to 10000).
fn of_blkio(weight: u16) -> u64 {
    crate::cgroup::convert::io_weight(weight)
}

/// The `IOWeight` from which systemd makes this `io.bfq.weight` (1 to 1000): it stretches the scale
/// above the default of 100, and so this is the inverse.
fn of_bfq(weight: u16) -> u64 {
    match u64::from(weight) {
        low @ ..=100 => low,
        high => 100 + ((high - 100) * 9900).div_ceil(900),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str, directory: Option<&Path>) -> Vec<(String, Value)> {
        let resources: Resources = serde_json::from_str(json).unwrap();
        let found = properties(&resources, directory).unwrap();
        found.into_iter().map(|property| (property.name, property.value)).collect()
    }

    fn pairs(expected: &[(&str, u64)]) -> Vec<(String, Value)> {
        expected.iter().map(|(name, value)| ((*name).to_owned(), Value::U64(*value))).collect()
    }

    #[test]
    fn every_limit_that_systemd_knows() {
        let json = r#"{"memory":{"limit":1000,"swap":1500,"reservation":-1},
            "cpu":{"shares":512,"quota":25000,"period":50000,"cpus":"0-1,9","mems":""},
            "pids":{"limit":-1}}"#;
        let mut expected = pairs(&[
            ("MemoryMax", 1000),
            ("MemoryLow", INFINITY),
            ("MemorySwapMax", 500),
            ("CPUWeight", 59),
            ("CPUQuotaPeriodUSec", 50_000),
            ("CPUQuotaPerSecUSec", 500_000),
            ("TasksMax", INFINITY),
        ]);
        expected.insert(6, ("AllowedCPUs".to_owned(), Value::Bytes(vec![3, 2])));
        assert_eq!(of(json, None), expected);
        assert_eq!(of(r#"{"memory":{"limit":0},"cpu":{"quota":0},"pids":{}}"#, None), []);
    }

    #[test]
    fn quotas_count_over_the_period_in_force() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("cpu.max"), "30000 60000\n").unwrap();
        let there = Some(directory.path());
        let quota = |value| pairs(&[("CPUQuotaPerSecUSec", value)]);
        assert_eq!(of(r#"{"cpu":{"quota":15000}}"#, there), quota(250_000));
        assert_eq!(of(r#"{"cpu":{"quota":15000}}"#, None), quota(150_000));
        assert_eq!(of(r#"{"cpu":{"quota":-1}}"#, there), quota(INFINITY));
        let period = pairs(&[("CPUQuotaPeriodUSec", 120_000), ("CPUQuotaPerSecUSec", 250_000)]);
        assert_eq!(of(r#"{"cpu":{"period":120000}}"#, there), period);
        // A fraction of a percent is rounded up.
        assert_eq!(of(r#"{"cpu":{"quota":1001}}"#, None), quota(20_000));
    }

    #[test]
    fn idle_is_a_weight_of_its_own() {
        assert_eq!(of(r#"{"cpu":{"idle":1}}"#, None), pairs(&[("CPUWeight", 0)]));
        assert_eq!(of(r#"{"cpu":{"idle":0}}"#, None), pairs(&[("CPUWeight", INFINITY)]));
        let both = r#"{"cpu":{"idle":0,"shares":1024}}"#;
        assert_eq!(of(both, None), pairs(&[("CPUWeight", 100)]));
    }

    #[test]
    fn files_of_unified() {
        let json = r#"{"unified":{"cgroup.max.depth":"5","cpu.max":"max 50000","io.weight":"default 7",
            "memory.high":"max","memory.max":" 9 ","pids.max":"3"}}"#;
        let expected = pairs(&[
            ("CPUQuotaPeriodUSec", 50_000),
            ("CPUQuotaPerSecUSec", INFINITY),
            ("IOWeight", 7),
            ("MemoryHigh", INFINITY),
            ("MemoryMax", 9),
            ("TasksMax", 3),
        ]);
        assert_eq!(of(json, None), expected);
    }

    #[test]
    fn lists_of_processors() {
        for (list, bits) in [("0", vec![1]), ("0-8", vec![255, 1]), (" 15 ", vec![0, 128])] {
            assert_eq!(super::bits(list), Some(bits), "{list}");
        }
        for list in ["", "3-1", "0-31:2/4", "x", "99999999", "0-18446744073709551615"] {
            assert_eq!(super::bits(list), None, "{list}");
        }
    }

    #[test]
    fn block_io() {
        let directory = tempfile::tempdir().unwrap();
        let json = r#"{"weight":500,"weightDevice":[{"major":8,"minor":0,"weight":10}],
            "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1048576},{"major":7,"minor":1,"rate":0}]}"#;
        let io: BlockIo = serde_json::from_str(json).unwrap();
        let sda = |value| ("/dev/block/8:0".to_owned(), value);
        let expected = |weight, device| {
            vec![
                number("IOWeight", weight),
                Property::optional("IODeviceWeight", Value::Devices(vec![sda(device)])),
                Property::optional(
                    "IOReadBandwidthMax",
                    Value::Devices(vec![sda(1_048_576), ("/dev/block/7:1".to_owned(), INFINITY)]),
                ),
            ]
        };
        assert_eq!(io_properties(&io, directory.path()), expected(4950, 1));
        std::fs::write(directory.path().join("io.bfq.weight"), "").unwrap();
        assert_eq!(io_properties(&io, directory.path()), expected(4500, 10));
        // systemd's own conversion gives every weight back.
        let back = |weight: u64| 100 + (weight - 100) * 900 / 9900;
        for weight in 101..=1000 {
            assert_eq!(back(of_bfq(weight)), u64::from(weight));
        }
    }
}

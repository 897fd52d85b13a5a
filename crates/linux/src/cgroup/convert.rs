//! From the numbers of config.json, which were made for cgroup v1, to what control files take.
//! Pure functions.

use super::error::{Error, Result};

/// The smallest and largest `cpu.shares` (kernel: MIN_SHARES and MAX_SHARES).
const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

/// `cpu.shares` (2 to 262144, default 1024) as `cpu.weight` (1 to 10000, default 100).
///
/// The curve runc (since 1.4, pull request 4785) and crun (since 1.23, issue 1721) use: a quadratic
/// function of log2 that meets minimum, default and maximum of both scales. The linear one used
/// before mapped the default of 1024 to 39 and so gave containers less than other processes.
pub fn weight_of_shares(shares: u64) -> u64 {
    if shares <= *SHARES.start() {
        return 1;
    }
    if shares >= *SHARES.end() {
        return 10_000;
    }
    let log = u32::try_from(shares).map_or(f64::from(u32::MAX), f64::from).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    // Both ends are clamped above, so the result lies between 1 and 10000.
    10_f64.powf(exponent).ceil() as u64
}

/// `blkio.weight` (10 to 1000) as `io.weight` (1 to 10000), on a straight line as runc and crun do.
pub fn io_weight(weight: u16) -> u64 {
    1 + u64::from(weight.clamp(10, 1000) - 10) * 9999 / 990
}

/// Refuses shares that cgroup v1 would silently change to its smallest or largest.
///
/// # Errors
/// What is wrong with them.
pub fn check_shares(shares: u64) -> Result<()> {
    if SHARES.contains(&shares) {
        return Ok(());
    }
    Err(Error::Invalid {
        field: "cpu.shares".into(),
        value: shares.to_string(),
        reason: "is not between 2 and 262144",
    })
}

/// A value for a v2 file where "no limit" is the word `max`.
pub(super) fn or_max(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

/// `memory.swap.max` for a limit of memory plus swap. `None`: leave it alone.
///
/// # Errors
/// When memory plus swap is limited without a memory limit, or lower than it.
pub(crate) fn swap_max(swap: Option<i64>, limit: Option<i64>) -> Result<Option<String>> {
    let invalid = |value: i64, reason| {
        Err(Error::Invalid { field: "memory.swap".into(), value: value.to_string(), reason })
    };
    match (set(swap), set(limit)) {
        // As on v1: without a limit of memory there is none of memory plus swap.
        (None, Some(limit)) if limit < 0 => Ok(Some("max".into())),
        (None, _) => Ok(None),
        (Some(swap), _) if swap < 0 => Ok(Some("max".into())),
        (Some(swap), None) => invalid(swap, "needs a memory limit beside it"),
        (Some(swap), Some(limit)) if limit < 0 => invalid(swap, "needs a memory limit beside it"),
        (Some(swap), Some(limit)) if swap < limit => {
            invalid(swap, "is lower than the memory limit, which it includes")
        }
        (Some(swap), Some(limit)) => Ok(Some((swap - limit).to_string())),
    }
}

/// `pids.max`: as in runc since 1.4 (pull request 4949, after runtime-spec pull request 1279)
/// a negative number means no limit and 0 is a real value, written as 1 because with both no
/// process of the cgroup can fork.
pub fn pids_max(limit: i64) -> String {
    or_max(if limit == 0 { 1 } else { limit })
}

/// The value of a field for which 0 means "not set", as in runc.
pub fn set(value: Option<i64>) -> Option<i64> {
    value.filter(|v| *v != 0)
}

/// As [`set`] for unsigned fields.
pub fn set_unsigned(value: Option<u64>) -> Option<u64> {
    value.filter(|v| *v != 0)
}

/// Refuses a CPU or node list that is not made of digits, commas and hyphens, before it could
/// become more than one request to the kernel.
pub(super) fn check_list(field: &str, list: &str) -> Result<()> {
    let known = |b: u8| b.is_ascii_digit() || matches!(b, b',' | b'-' | b':' | b'/' | b' ');
    if list.bytes().all(known) {
        return Ok(());
    }
    Err(Error::Invalid {
        field: field.into(),
        value: format!("{list:?}"),
        reason: "is not a list such as `0-3,7`",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_meet_minimum_default_and_maximum() {
        for (shares, weight) in [
            (0, 1),
            (1, 1),
            (2, 1),
            (3, 2),
            (512, 59),
            (1024, 100),
            (2048, 174),
            (65_536, 3_023),
            (262_143, 10_000),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
        let mut last = 0;
        for shares in 2..262_144 {
            let weight = weight_of_shares(shares);
            assert!(weight >= last && (1..=10_000).contains(&weight), "{shares}");
            last = weight;
        }
    }

    #[test]
    fn weights_of_disk_time() {
        for (blkio, io) in [(10, 1), (11, 11), (500, 4950), (1000, 10_000)] {
            assert_eq!(io_weight(blkio), io, "{blkio}");
        }
    }

    #[test]
    fn shares_outside_of_the_scale_are_refused() {
        for (shares, good) in [(0, false), (1, false), (2, true), (262_144, true), (262_145, false)]
        {
            assert_eq!(check_shares(shares).is_ok(), good, "{shares}");
        }
    }

    #[test]
    fn swap_is_what_exceeds_the_limit() {
        let max = Some("max".to_owned());
        for (swap, limit, expected) in [
            (None, None, None),
            (None, Some(5), None),
            (Some(0), Some(5), None),
            (None, Some(-1), max.clone()),
            (Some(-1), None, max.clone()),
            (Some(-1), Some(5), max.clone()),
            (Some(5), Some(5), Some("0".to_owned())),
            (Some(12), Some(5), Some("7".to_owned())),
            (Some(i64::MAX), Some(1), Some((i64::MAX - 1).to_string())),
        ] {
            assert_eq!(swap_max(swap, limit).unwrap(), expected, "{swap:?} {limit:?}");
        }
        for (swap, limit) in
            [(Some(5), None), (Some(5), Some(0)), (Some(5), Some(-1)), (Some(4), Some(5))]
        {
            assert!(swap_max(swap, limit).is_err(), "{swap:?} {limit:?}");
        }
    }

    #[test]
    fn pids_limits() {
        for (limit, text) in [(-1, "max"), (i64::MIN, "max"), (0, "1"), (1, "1"), (70_000, "70000")]
        {
            assert_eq!(pids_max(limit), text);
        }
    }

    #[test]
    fn lists() {
        assert!(check_list("cpu.cpus", "0-3,7").is_ok());
        assert!(check_list("cpu.cpus", "0-31:2/4").is_ok());
        for list in ["0\n1", "all", "0;1", "0\0"] {
            assert!(check_list("cpu.cpus", list).is_err(), "{list:?}");
        }
    }
}

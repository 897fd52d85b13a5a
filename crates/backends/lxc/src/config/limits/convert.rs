//! From the numbers of config.json, which were made for cgroup v1, to what control files take: the
//! same rules as native has.

use super::super::problem::{Problem, Result};

/// The smallest and largest `cpu.shares` (kernel: MIN_SHARES and MAX_SHARES).
const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

/// `cpu.shares` (2 to 262144, default 1024) as `cpu.weight` (1 to 10000, default 100): the curve of
/// runc (since 1.4) and crun (since 1.23), which meets minimum, default and maximum of both scales.
pub(crate) fn weight_of_shares(shares: u64) -> u64 {
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

/// Refuses shares that cgroup v1 would silently change to its smallest or largest.
pub(crate) fn check_shares(field: &str, shares: u64) -> Result<()> {
    if SHARES.contains(&shares) {
        return Ok(());
    }
    Err(Problem::field(field, format!("{shares} is not between 2 and 262144")))
}

/// `blkio.weight` (10 to 1000) as `io.weight` (1 to 10000), on a straight line as runc and crun do.
pub(crate) fn io_weight(weight: u16) -> u64 {
    1 + u64::from(weight.clamp(10, 1000) - 10) * 9999 / 990
}

/// `pids.max`: negative is no limit; 0 is written as 1, with which no process can fork either.
pub(crate) fn pids_max(limit: i64) -> String {
    match limit {
        0 => "1".to_owned(),
        limit if limit < 0 => "max".to_owned(),
        limit => limit.to_string(),
    }
}

/// The value of a field for which 0 means "not set", as in runc.
pub(crate) fn set(value: Option<i64>) -> Option<i64> {
    value.filter(|value| *value != 0)
}

/// As [`set`] for unsigned fields.
pub(crate) fn set_unsigned(value: Option<u64>) -> Option<u64> {
    value.filter(|value| *value != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_meet_at_their_ends() {
        for (shares, weight) in [(2, 1), (512, 59), (1024, 100), (65_536, 3_023), (262_144, 10_000)]
        {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
        for (blkio, io) in [(10, 1), (500, 4950), (1000, 10_000)] {
            assert_eq!(io_weight(blkio), io, "{blkio}");
        }
        for (limit, shown) in [(-5, "max"), (0, "1"), (7, "7")] {
            assert_eq!(pids_max(limit), shown);
        }
        assert!(check_shares("x", 1).is_err() && check_shares("x", 262_145).is_err());
    }
}

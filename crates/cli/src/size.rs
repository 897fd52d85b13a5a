//! Numbers as people and runc's callers write them: sizes with units, lengths of time.

use std::time::Duration;

/// Units of sizes, each 1024 times the one before.
const SIZE_UNITS: [char; 5] = ['k', 'm', 'g', 't', 'p'];

/// Reads bytes: `1048576`, `512m`, `1.5GiB`, `64 kB`, or `-1` for no limit. Units count in steps
/// of 1024 with and without the `i`, as runc and Docker read them.
pub(crate) fn bytes(text: &str) -> Result<i64, String> {
    let problem = || format!("{text:?} is no size such as 64m, 1.5g or -1 (no limit)");
    if text == "-1" {
        return Ok(-1);
    }
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let factor = factor(match unit.strip_prefix(' ') {
        Some("") | None => unit,
        Some(unit) => unit,
    })
    .ok_or_else(problem)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u128 = digits(whole).ok_or_else(problem)?;
    let scale =
        10_u128.pow(u32::try_from(fraction.len()).ok().filter(|n| *n <= 9).ok_or_else(problem)?);
    let fraction = digits(fraction).ok_or_else(problem)? * factor / scale;
    let total = whole.checked_mul(factor).and_then(|whole| whole.checked_add(fraction));
    let total = total.and_then(|total| i64::try_from(total).ok());
    total.ok_or_else(|| format!("{text:?} is more bytes than there are"))
}

fn factor(unit: &str) -> Option<u128> {
    let unit = unit.to_ascii_lowercase();
    if unit.is_empty() || unit == "b" {
        return Some(1);
    }
    let (letter, rest) = unit.split_at_checked(1)?;
    let steps = SIZE_UNITS.iter().position(|known| letter.starts_with(*known))?;
    matches!(rest, "" | "b" | "ib").then(|| 1 << (10 * (steps + 1)))
}

/// A number of digits alone; at most 30 of them, so that nothing overflows.
fn digits(text: &str) -> Option<u128> {
    let plain = !text.is_empty() && text.len() <= 25 && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

/// Bytes as people read them: three digits or so and a unit, `1.5 MiB`.
pub(crate) fn people(bytes: u64) -> String {
    const NAMES: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Exact enough: what is printed has one digit after the point.
    #[expect(clippy::cast_precision_loss)]
    let mut amount = bytes as f64;
    let mut unit = NAMES[0];
    for name in NAMES {
        (amount, unit) = (amount / 1024.0, name);
        if amount < 1024.0 {
            break;
        }
    }
    format!("{amount:.1} {unit}")
}

/// Like [`bytes`], where 0 would change nothing: the kernel is never told, as with runc.
pub(crate) fn limit(text: &str) -> Result<i64, String> {
    match bytes(text)? {
        0 => Err("0 would change nothing; -1 means no limit".to_owned()),
        limit => Ok(limit),
    }
}

/// Units of time as Go writes them, in nanoseconds, longer names first.
const TIME_UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a length of time above zero: `5s`, `500ms`, `1m30s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let problem = || format!("{text:?} is no length of time such as 5s or 500ms");
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(problem)?;
        let (number, tail) = rest.split_at(end);
        let end = tail.find(|letter: char| letter.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let (_, factor) = TIME_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(problem)?;
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
        total = part.and_then(|part| total.checked_add(part)).ok_or_else(problem)?;
        rest = tail;
    }
    if total == 0 { Err(problem()) } else { Ok(Duration::from_nanos(total)) }
}

/// Like [`duration`], where `0s` means at once.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    if text == "0s" { Ok(Duration::ZERO) } else { duration(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            ("0", 0),
            ("-1", -1),
            ("1048576", 1 << 20),
            ("32k", 32 << 10),
            ("32K", 32 << 10),
            ("32kb", 32 << 10),
            ("32KiB", 32 << 10),
            ("512m", 512 << 20),
            ("1.5g", 3 << 29),
            ("64 MB", 64 << 20),
            ("1t", 1 << 40),
            ("1p", 1 << 50),
            ("7b", 7),
            ("9223372036854775807", i64::MAX),
            ("0.0000001k", 0),
        ];
        for (text, wanted) in cases {
            assert_eq!(bytes(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_size() {
        let huge = "9".repeat(400);
        let long_fraction = format!("1.{}k", "1".repeat(40));
        for text in [
            "",
            "k",
            "-2",
            "-1k",
            "+1",
            "1e3",
            "1kk",
            "1 k b",
            "1  k",
            " 1",
            "1 ",
            "0x10",
            "1.",
            ".5",
            "1.2.3",
            "1.5.g",
            "９",
            "9223372036854775808",
            "9999999p",
            "1kib2",
            "1é",
            "1ki",
            &huge,
            &long_fraction,
        ] {
            assert!(bytes(text).is_err(), "{text:?}");
        }
        assert!(limit("0").is_err() && limit("0k").is_err());
        assert_eq!(limit("1k"), Ok(1024));
    }

    #[test]
    fn lengths_of_time() {
        let cases = [("5s", 5_000), ("500ms", 500), ("1m30s", 90_000), ("1h", 3_600_000)];
        for (text, milliseconds) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "0s", "5", "s", "-5s", "5 s", "5x", "1.5s", "99999999999999999999h", "5s1"]
        {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }
}

//! Lengths of time as people write them: `30s`, `500ms`, `1h30m`.

use std::time::Duration;

/// Units, longest first: their letters and their milliseconds.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads one or more numbers with a unit each, added up. `None` when the text has another form,
/// is zero or does not fit.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|letter: char| letter.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let (_, milliseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let amount = number.parse::<u64>().ok()?.checked_mul(*milliseconds)?;
        total = total.checked_add(amount)?;
        rest = tail;
    }
    (total > 0).then(|| Duration::from_millis(total))
}

/// Writes what [`parse`] reads, to the millisecond.
pub(super) fn render(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let mut text = String::new();
    for (unit, milliseconds) in UNITS {
        let amount = rest / u128::from(milliseconds);
        rest %= u128::from(milliseconds);
        if amount > 0 {
            text.push_str(&format!("{amount}{unit}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_durations() {
        let cases = [
            ("1ms", 1, "1ms"),
            ("30s", 30_000, "30s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("90m", 5_400_000, "1h30m"),
            ("1m500ms", 60_500, "1m500ms"),
            ("2d", 172_800_000, "2d"),
            ("1s1s", 2_000, "2s"),
        ];
        for (text, milliseconds, canonical) in cases {
            let duration = parse(text).unwrap();
            assert_eq!(duration, Duration::from_millis(milliseconds), "{text}");
            assert_eq!(render(duration), canonical);
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        let cases = [
            "",
            "30",
            "s",
            "0s",
            "-1s",
            "1.5s",
            "1 s",
            "1s ",
            "1y",
            "1S",
            "1s2",
            "s1",
            "18446744073709551616s",
            "18446744073709551615d",
            "18446744073709551615ms1ms",
            "1µs",
        ];
        for text in cases {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}

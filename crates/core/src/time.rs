//! Points in time as RFC 3339 text, as Go's `time` package prints and reads them.
//!
//! State files and log lines carry these; runc, containerd and Podman parse them with Go's layouts
//! `time.RFC3339Nano` and `time.RFC3339` (source: Go, package `time`, constants).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECONDS_PER_DAY: i64 = 86_400;

/// Why a text is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// The text does not have the form `2006-01-02T15:04:05.999999999Z` or ends in no zone.
    #[error("{0:?} is not a time such as 2006-01-02T15:04:05Z")]
    Form(String),
    /// The form is right and a number is not: month 13, 30 February, 25 o'clock.
    #[error("{0:?} names a time that does not exist")]
    Range(String),
}

/// The time in UTC with up to nine decimals, trailing zeros left out, as Go's `RFC3339Nano`.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// let time = UNIX_EPOCH + Duration::new(1_700_000_000, 120_000_000);
/// assert_eq!(lxcri_core::time::rfc3339(time), "2023-11-14T22:13:20.12Z");
/// ```
pub fn rfc3339(time: SystemTime) -> String {
    let (seconds, nanoseconds) = since_epoch(time);
    let whole = date_and_clock(seconds);
    if nanoseconds == 0 {
        return format!("{whole}Z");
    }
    let decimals = format!("{nanoseconds:09}");
    format!("{whole}.{}Z", decimals.trim_end_matches('0'))
}

/// The time in UTC to the second (cut, not rounded), as Go's `RFC3339`: the form of log lines.
pub fn rfc3339_seconds(time: SystemTime) -> String {
    let (seconds, _) = since_epoch(time);
    format!("{}Z", date_and_clock(seconds))
}

/// Reads what [`rfc3339`], [`rfc3339_seconds`] or any Go program printed, with any zone offset.
///
/// # Errors
/// [`TimeError`] when the text has another form or names a time that does not exist. A leap second
/// (`:60`) is refused, as Go refuses it.
pub fn parse_rfc3339(text: &str) -> Result<SystemTime, TimeError> {
    let form = || TimeError::Form(text.chars().take(64).collect());
    let range = || TimeError::Range(text.chars().take(64).collect());
    let bytes = text.as_bytes();
    if bytes.len() < "2006-01-02T15:04:05Z".len() || bytes.len() > 64 {
        return Err(form());
    }
    let (head, tail) = bytes.split_at(19);
    for (at, expected) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
        if head[at] != expected {
            return Err(form());
        }
    }
    let field = |from: usize, to: usize| digits(&head[from..to]).ok_or_else(form);
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    let (nanoseconds, zone) = decimals(tail).ok_or_else(form)?;
    let offset = zone_offset(zone).ok_or_else(form)?;
    let exists = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !exists {
        return Err(range());
    }
    let seconds =
        days_from_date(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second
            - offset;
    // Four digits are all a year has; the offset may lead out of them.
    let years =
        days_from_date(0, 1, 1) * SECONDS_PER_DAY..days_from_date(10_000, 1, 1) * SECONDS_PER_DAY;
    if !years.contains(&seconds) {
        return Err(range());
    }
    at(seconds, nanoseconds).ok_or_else(range)
}

/// Seconds and nanoseconds since 1970, the nanoseconds always counting forward.
fn since_epoch(time: SystemTime) -> (i64, u32) {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (after.as_secs().cast_signed(), after.subsec_nanos()),
        Err(error) => {
            let before = error.duration();
            let seconds = -before.as_secs().cast_signed();
            match before.subsec_nanos() {
                0 => (seconds, 0),
                nanoseconds => (seconds - 1, 1_000_000_000 - nanoseconds),
            }
        }
    }
}

fn at(seconds: i64, nanoseconds: u32) -> Option<SystemTime> {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base =
        if seconds < 0 { UNIX_EPOCH.checked_sub(whole)? } else { UNIX_EPOCH.checked_add(whole)? };
    base.checked_add(Duration::from_nanos(u64::from(nanoseconds)))
}

fn date_and_clock(seconds: i64) -> String {
    let (year, month, day) = date_from_days(seconds.div_euclid(SECONDS_PER_DAY));
    let clock = seconds.rem_euclid(SECONDS_PER_DAY);
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// Days in the 400 years after which the Gregorian calendar repeats.
const DAYS_PER_ERA: i64 = 146_097;
/// Days from 1 March of year 0 to 1 January 1970: years are counted from March, so that the leap
/// day is the last day of a year.
const EPOCH_FROM_MARCH_ZERO: i64 = 719_468;

fn days_from_date(year: i64, month: i64, day: i64) -> i64 {
    let march_year = if month <= 2 { year - 1 } else { year };
    let era = march_year.div_euclid(400);
    let year_of_era = march_year.rem_euclid(400);
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - EPOCH_FROM_MARCH_ZERO
}

fn date_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + EPOCH_FROM_MARCH_ZERO;
    let era = shifted.div_euclid(DAYS_PER_ERA);
    let day_of_era = shifted.rem_euclid(DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
    })
}

/// Splits `.123Z` into nanoseconds and zone. Decimals beyond the ninth are cut off.
fn decimals(tail: &[u8]) -> Option<(u32, &[u8])> {
    let Some((b'.', rest)) = tail.split_first() else {
        return Some((0, tail));
    };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, zone) = rest.split_at(count);
    if fraction.is_empty() {
        return None;
    }
    let nine = fraction.iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanoseconds = nine.fold(0, |number, byte| number * 10 + u32::from(byte - b'0'));
    Some((nanoseconds, zone))
}

/// Seconds east of UTC.
fn zone_offset(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            let east = hours * 3600 + minutes * 60;
            let valid = hours < 24 && minutes < 60;
            valid.then_some(if *sign == b'-' { -east } else { east })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(seconds: i64, nanoseconds: u32) -> SystemTime {
        at(seconds, nanoseconds).unwrap()
    }

    #[test]
    fn prints_as_go_does() {
        // Expected values: `date -u -d @SECONDS +%FT%TZ`.
        let cases = [
            (0, 0, "1970-01-01T00:00:00Z"),
            (1_700_000_000, 0, "2023-11-14T22:13:20Z"),
            (1_700_000_000, 1, "2023-11-14T22:13:20.000000001Z"),
            (1_700_000_000, 120_000_000, "2023-11-14T22:13:20.12Z"),
            (951_782_399, 999_999_999, "2000-02-28T23:59:59.999999999Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (4_107_542_399, 0, "2100-02-28T23:59:59Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00Z"),
            (-1, 0, "1969-12-31T23:59:59Z"),
            (-1, 500_000_000, "1969-12-31T23:59:59.5Z"),
            (253_402_300_799, 0, "9999-12-31T23:59:59Z"),
        ];
        for (seconds, nanoseconds, expected) in cases {
            let time = moment(seconds, nanoseconds);
            assert_eq!(rfc3339(time), expected);
            assert_eq!(parse_rfc3339(expected), Ok(time), "{expected}");
        }
    }

    #[test]
    fn seconds_are_cut_not_rounded() {
        assert_eq!(rfc3339_seconds(moment(0, 999_999_999)), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339_seconds(moment(-1, 1)), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn every_day_of_nine_centuries_survives_the_round_trip() {
        let mut previous = date_from_days(-200_000);
        for days in -199_999..130_000 {
            let date = date_from_days(days);
            assert!(date > previous, "{date:?} after {previous:?}");
            assert!(date.2 <= days_in_month(date.0, date.1), "{date:?}");
            assert_eq!(days_from_date(date.0, date.1, date.2), days);
            previous = date;
        }
    }

    #[test]
    fn reads_zones() {
        let noon = parse_rfc3339("2024-02-29T12:00:00Z");
        assert_eq!(parse_rfc3339("2024-02-29T14:30:00+02:30"), noon);
        assert_eq!(parse_rfc3339("2024-02-28T23:00:00.000-13:00"), noon);
    }

    #[test]
    fn refuses_what_is_no_time() {
        let form = [
            "",
            "now",
            "2024-02-29",
            "2024-02-29 12:00:00Z",
            "2024-02-29T12:00:00",
            "2024-02-29T12:00:00.Z",
            "2024-02-29T12:00:00z",
            "2024-02-29T12:00:00+2:00",
            "2024-02-29T12:00:00+24:00",
            "2024-02-29T12:00:00Zx",
            "+024-02-29T12:00:00Z",
            "2024-02-29T12:00:0éZ",
            "éééééééééééé",
        ];
        for text in form {
            assert_eq!(parse_rfc3339(text), Err(TimeError::Form(text.into())), "{text}");
        }
        let range = [
            "2023-02-29T12:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-01-00T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:60:00Z",
            "2024-01-01T00:00:60Z",
        ];
        for text in range {
            assert_eq!(parse_rfc3339(text), Err(TimeError::Range(text.into())), "{text}");
        }
        let long = format!("2024-01-01T00:00:00.{}Z", "1".repeat(1 << 20));
        assert!(matches!(parse_rfc3339(&long), Err(TimeError::Form(cut)) if cut.len() == 64));
    }
}

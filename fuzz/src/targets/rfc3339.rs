//! A time as text. What is read is written in UTC as the same time, and the short form differs by
//! less than a second.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lxcri_core::time::{parse_rfc3339, rfc3339, rfc3339_seconds};

use crate::broken::{Outcome, holds, never, same};

/// Seconds from 1970 to the first moment of year 0 and of year 10000. A zone can lead a text just
/// over these edges, where no text of the form can follow.
const YEARS: (u64, u64) = (62_167_219_200, 253_402_300_800);

pub(super) fn run(input: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
    let Ok(time) = parse_rfc3339(text) else { return Ok(()) };
    holds(text.is_ascii() && text.len() <= 64, "a time is short and plain")?;
    if !has_four_digits(time) {
        return Ok(());
    }
    let whole = rfc3339(time);
    let again = parse_rfc3339(&whole).map_err(never("what is written is read"))?;
    same(&again, &time, "what is written is the same time")?;
    same(&rfc3339(again), &whole, "what is written has one form")?;
    let cut = parse_rfc3339(&rfc3339_seconds(time)).map_err(never("the short form is read"))?;
    let lost = time.duration_since(cut).map_err(never("the short form is not later"))?;
    holds(lost < Duration::from_secs(1), "the short form loses less than a second")
}

/// Whether the year in UTC is one of 0 to 9999.
fn has_four_digits(time: SystemTime) -> bool {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_secs() < YEARS.1,
        Err(error) => error.duration() <= Duration::from_secs(YEARS.0),
    }
}

//! A signal by name or number. What is read is a signal that exists, and reads back as it is
//! written.

use lxcri_linux::signal::Signal;

use crate::broken::{Outcome, holds, same};

pub(super) fn run(input: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
    match Signal::parse(text) {
        Ok(signal) => {
            holds((0..=64).contains(&signal.number()), "a signal has a number of this machine")?;
            holds(text.is_ascii() && !text.contains(char::is_whitespace), "a name is one word")?;
            same(&Signal::parse(&signal.to_string()), &Ok(signal), "a signal reads back")?;
            same(&Signal::parse(&text.to_lowercase()), &Ok(signal), "small letters are the same")
        }
        Err(unknown) => same(&unknown.text.as_str(), &text, "the error names the text"),
    }
}

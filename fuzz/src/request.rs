//! What the command line asks for.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lxcri_fuzz::{TARGETS, Target};

/// The word before the arguments of a child of ours.
pub(crate) const ONE: &str = "one";

const USAGE: &str = "usage: lxcri-fuzz SECONDS [SEED] | lxcri-fuzz replay TARGET FILE";

/// What to do.
#[derive(Debug)]
pub(crate) enum Request {
    /// Drive every target in turn.
    All {
        /// For so long in all.
        time: Duration,
        /// From this seed.
        seed: u64,
    },
    /// Drive one target in this process.
    One {
        /// The target.
        target: &'static Target,
        /// For so long.
        time: Duration,
        /// From this seed.
        seed: u64,
    },
    /// Run one input.
    Replay {
        /// The target.
        target: &'static Target,
        /// The input.
        path: PathBuf,
    },
}

impl Request {
    /// Reads the arguments after the program's name; the error is a line for the user.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["replay", name, path] => {
                Ok(Self::Replay { target: target(name)?, path: PathBuf::from(path) })
            }
            [ONE, name, milliseconds, seed] => Ok(Self::One {
                target: target(name)?,
                time: Duration::from_millis(number(milliseconds)?),
                seed: number(seed)?,
            }),
            [seconds] => Self::all(seconds, clock()),
            [seconds, seed] => Self::all(seconds, number(seed)?),
            _ => Err(USAGE.to_owned()),
        }
    }

    fn all(seconds: &str, seed: u64) -> Result<Self, String> {
        match number(seconds)? {
            0 => Err(format!("0 seconds are too few; {USAGE}")),
            seconds => Ok(Self::All { time: Duration::from_secs(seconds), seed }),
        }
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a whole number; {USAGE}"))
}

fn target(name: &str) -> Result<&'static Target, String> {
    let names = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    TARGETS
        .iter()
        .find(|target| target.name == name)
        .ok_or_else(|| format!("no target {name:?}: there are {}", names()))
}

/// A seed that differs from run to run; it is printed, so that a run can be had again.
fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::from(since.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Request, String> {
        Request::parse(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn what_can_be_asked_for() {
        assert!(matches!(parse(&["60"]), Ok(Request::All { time, .. }) if time.as_secs() == 60));
        assert!(matches!(parse(&["60", "7"]), Ok(Request::All { seed: 7, .. })));
        let one = parse(&[ONE, "signal", "1500", "3"]);
        assert!(matches!(one, Ok(Request::One { time, seed: 3, .. }) if time.as_millis() == 1500));
        assert!(matches!(parse(&["replay", "signal", "/f"]), Ok(Request::Replay { .. })));
    }

    #[test]
    fn what_cannot() {
        for words in [&[][..], &["x"], &["-1"], &["0"], &["1", "x"], &["replay", "signal"]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
        let error = parse(&["replay", "nope", "/f"]).unwrap_err();
        assert!(error.starts_with("no target \"nope\": there are auth_challenge, "), "{error}");
    }
}

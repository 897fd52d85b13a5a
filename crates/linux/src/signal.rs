//! Signals: their names, and those that a foreground `run` hands on to its container.

use std::fmt;

mod forward;

pub use forward::{Event, ForwardedSignals, Mask};

/// Text that names no signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown signal {text:?}")]
pub struct UnknownSignal {
    /// The text as given.
    pub text: String,
}

/// A signal number of this machine, 0 to 64. Signal 0 is never delivered: kill(2) then only checks
/// that the process is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(i32);

/// Names without `SIG`. Where two name one number, the first is the one we write.
const NAMES: [(&str, i32); 34] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
    ("CLD", libc::SIGCHLD),
    ("IOT", libc::SIGABRT),
    ("POLL", libc::SIGIO),
];

impl Signal {
    /// SIGKILL.
    pub const KILL: Self = Self(libc::SIGKILL);
    /// SIGTERM.
    pub const TERM: Self = Self(libc::SIGTERM);
    /// SIGWINCH.
    pub const WINCH: Self = Self(libc::SIGWINCH);

    /// Reads a name with or without `SIG`, in capitals or not, a number, `RTMIN+n` or `RTMAX-n`.
    ///
    /// # Errors
    /// [`UnknownSignal`].
    pub fn parse(text: &str) -> Result<Self, UnknownSignal> {
        let unknown = || UnknownSignal { text: text.into() };
        if let Some(number) = digits(text) {
            return Self::from_number(number).ok_or_else(unknown);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, number)| Self(*number))
            .or_else(|| real_time(name))
            .ok_or_else(unknown)
    }

    /// The signal with this number, where there is one.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        (0..=libc::SIGRTMAX()).contains(&number).then_some(Self(number))
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }
}

/// `SIGTERM`, `SIGRTMIN+3`, or the number where there is no name.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = NAMES.iter().find(|(_, number)| *number == self.0) {
            return write!(f, "SIG{name}");
        }
        match self.0 - libc::SIGRTMIN() {
            0 => f.write_str("SIGRTMIN"),
            above if above > 0 => write!(f, "SIGRTMIN+{above}"),
            _ => write!(f, "{}", self.0),
        }
    }
}

/// A signal that asks this process to end and waits because it is blocked (sigpending(2)). Whoever
/// blocks signals to hand them on later has to look for these during anything long.
pub fn pending_end() -> Option<Signal> {
    let pending = forward::pending().ok()?;
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT]
        .into_iter()
        .find(|number| pending.blocks(*number))
        .map(Signal)
}

/// Every name that [`Signal::parse`] takes besides the real-time ones, with `SIG`.
#[must_use]
pub fn names() -> Vec<String> {
    NAMES.iter().map(|(name, _)| format!("SIG{name}")).collect()
}

/// Names count from the first real-time signal that libc leaves to programs, as everywhere.
fn real_time(name: &str) -> Option<Signal> {
    let offset = |rest: &str, sign: char| match rest.strip_prefix(sign) {
        Some(number) => digits(number),
        None => rest.is_empty().then_some(0),
    };
    let number = if let Some(rest) = name.strip_prefix("RTMIN") {
        libc::SIGRTMIN().checked_add(offset(rest, '+')?)?
    } else {
        libc::SIGRTMAX().checked_sub(offset(name.strip_prefix("RTMAX")?, '-')?)?
    };
    (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&number).then_some(Signal(number))
}

/// A number made of digits alone: no sign, no space.
fn digits(text: &str) -> Option<i32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_a_signal() {
        let cases = [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigterm", 15),
            ("Term", 15),
            ("15", 15),
            ("015", 15),
            ("0", 0),
            ("KILL", 9),
            ("64", 64),
            ("SIGRTMIN", 34),
            ("RTMIN+3", 37),
            ("rtmin+30", 64),
            ("SIGRTMAX", 64),
            ("RTMAX-30", 34),
            ("SIGCLD", libc::SIGCHLD),
            ("POLL", libc::SIGIO),
            ("IOT", libc::SIGABRT),
        ];
        for (text, number) in cases {
            assert_eq!(Signal::parse(text).map(Signal::number), Ok(number), "{text}");
        }
    }

    #[test]
    fn what_does_not() {
        for text in [
            "",
            "SIG",
            "SIGSIGTERM",
            "TERM ",
            " TERM",
            "TERM\0",
            "-1",
            "+9",
            "65",
            "9.0",
            "0x9",
            "99999999999999999999",
            "RTMIN-1",
            "RTMIN+31",
            "RTMAX+1",
            "RTMAX-31",
            "RTMIN+",
            "RTMIN+-1",
            "RTMIN3",
            "RTMIN+2147483647",
            "RTMAX-2147483647",
            "RTMIN+99999999999",
            "NOPE",
            "１５",
        ] {
            let error = Signal::parse(text).unwrap_err();
            assert_eq!(error.to_string(), format!("unknown signal {text:?}"));
        }
    }

    #[test]
    fn every_signal_writes_what_it_reads() {
        for number in 1..=64 {
            let signal = Signal::from_number(number).unwrap();
            assert_eq!(Signal::parse(&signal.to_string()), Ok(signal), "{signal}");
        }
        assert_eq!(Signal::TERM.to_string(), "SIGTERM");
        assert_eq!(Signal(37).to_string(), "SIGRTMIN+3");
        assert_eq!(Signal(32).to_string(), "32", "reserved by libc, without a name");
        for name in names() {
            assert!(Signal::parse(&name).is_ok(), "{name}");
        }
        assert_eq!((Signal::from_number(-1), Signal::from_number(65)), (None, None));
    }
}

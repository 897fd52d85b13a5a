//! /proc/PID/stat (kernel: Documentation/filesystems/proc.rst, proc_pid_stat(5)).

/// What we need of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// One letter: R running, S sleeping, D disk, Z zombie, T stopped, t traced, X dead, I idle …
    pub state: char,
    /// The parent, 0 where it is outside the pid namespace.
    pub ppid: i32,
    /// Process group.
    pub pgrp: i32,
    /// Session.
    pub session: i32,
    /// How many threads it has.
    pub threads: u32,
    /// When the process started, in clock ticks since boot. Together with the pid it tells a
    /// process from a later one with the same number.
    pub start_time_ticks: u64,
}

impl Stat {
    /// Whether the process has ended: a zombie waits only for its parent.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Positions among the fields after the command; proc_pid_stat(5) counts from 1 with two before.
const PPID: usize = 4 - 3;
const PGRP: usize = 5 - 3;
const SESSION: usize = 6 - 3;
const THREADS: usize = 20 - 3;
const START_TIME: usize = 22 - 3;

/// Reads the text of /proc/PID/stat.
///
/// The command stands in parentheses and is whatever the process calls itself, `) Z 1` included, so
/// the fields are counted from the last parenthesis.
///
/// # Errors
/// What is wrong with it.
pub fn parse_stat(text: &[u8]) -> Result<Stat, &'static str> {
    let open = text.iter().position(|byte| *byte == b'(').ok_or("no command")?;
    let close = text.iter().rposition(|byte| *byte == b')').ok_or("the command has no end")?;
    if close < open {
        return Err("the command has no end");
    }
    let rest = std::str::from_utf8(&text[close + 1..]).map_err(|_| "not text")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().take(START_TIME + 1).collect();
    let state = match fields.first().map(|field| field.as_bytes()) {
        Some([letter]) if letter.is_ascii_alphabetic() => char::from(*letter),
        _ => return Err("the state is not a letter"),
    };
    Ok(Stat {
        state,
        ppid: number(&fields, PPID)?,
        pgrp: number(&fields, PGRP)?,
        session: number(&fields, SESSION)?,
        threads: number(&fields, THREADS)?,
        start_time_ticks: number(&fields, START_TIME)?,
    })
}

fn number<T: std::str::FromStr>(fields: &[&str], position: usize) -> Result<T, &'static str> {
    fields.get(position).ok_or("too few fields")?.parse().map_err(|_| "a field is not a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str = "7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456789 1000 200";

    #[test]
    fn any_command_is_stepped_over() {
        let hostile: [&[u8]; 9] = [
            b"cat",
            b"a b",
            b"a) Z 1 (b",
            b"))))))",
            b"((((",
            b"",
            b") R 1 1 1",
            b"new\nline) S 5",
            b"\xff\xfe)\x80",
        ];
        for command in hostile {
            let text = [b"42 (", command, b") S ", TAIL.as_bytes(), b"\n"].concat();
            let wanted = Stat {
                state: 'S',
                ppid: 7,
                pgrp: 8,
                session: 9,
                threads: 1,
                start_time_ticks: 123_456_789,
            };
            assert_eq!(parse_stat(&text), Ok(wanted), "{}", command.escape_ascii());
        }
    }

    #[test]
    fn ended_or_not() {
        for (letter, ended) in [("Z", true), ("X", true), ("R", false), ("t", false), ("I", false)]
        {
            let stat = parse_stat(format!("1 (x) {letter} {TAIL}").as_bytes()).unwrap();
            assert_eq!(stat.has_ended(), ended, "{letter}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let cases: [(&[u8], &str); 11] = [
            (b"", "no command"),
            (b"42 ", "no command"),
            (b"42 (cat", "the command has no end"),
            (b"42 )cat(", "the command has no end"),
            (b"42 (cat)", "the state is not a letter"),
            (b"42 (cat) 1 2 3", "the state is not a letter"),
            (b"42 (cat) SS 2 3", "the state is not a letter"),
            (b"42 (cat) S", "too few fields"),
            (b"42 (cat) S 1 2 3 4 5 6 7 8 9 10", "too few fields"),
            (b"42 (cat) S x 2 3 4", "a field is not a number"),
            (b"42 (cat) S \xff", "not text"),
        ];
        for (text, reason) in cases {
            assert_eq!(parse_stat(text), Err(reason), "{}", text.escape_ascii());
        }
        let huge = format!("1 (x) S {}", TAIL.replace("123456789", "99999999999999999999"));
        assert_eq!(parse_stat(huge.as_bytes()), Err("a field is not a number"));
        let negative = format!("1 (x) S {}", TAIL.replace("123456789", "-5"));
        assert_eq!(parse_stat(negative.as_bytes()), Err("a field is not a number"));
    }
}

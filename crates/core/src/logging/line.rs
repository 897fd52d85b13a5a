//! The forms of a message: for people, for log files.

use std::fmt::Write;
use std::time::SystemTime;

use log::Level;
use serde::Serialize;

use super::printable::{is_printable, printable};
use crate::time::rfc3339_seconds;

/// The form of a log file's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `time="…" level=… msg="…"`, as logrus writes to files.
    Text,
    /// One object a line with `level`, `msg` and `time`, as logrus writes and containerd, CRI-O and
    /// Podman read.
    Json,
}

/// The level as logrus names it, which readers of runc's log compare with.
fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// `level: message` and a line feed, without anything a terminal would obey but our own colours.
pub(super) fn for_people(level: Level, message: &str, colour: bool) -> String {
    let name = name(level);
    let message = printable(message);
    let code = match level {
        Level::Error => "1;31",
        Level::Warn => "1;33",
        Level::Info => "1",
        Level::Debug | Level::Trace => "2",
    };
    if colour {
        format!("\x1b[{code}m{name}:\x1b[0m {message}\n")
    } else {
        format!("{name}: {message}\n")
    }
}

/// A line of a log file, with its line feed.
pub(super) fn for_file(format: Format, level: Level, message: &str, time: SystemTime) -> String {
    let time = rfc3339_seconds(time);
    match format {
        Format::Text => {
            let message = logrus_value(message);
            format!("time=\"{time}\" level={} msg={message}\n", name(level))
        }
        Format::Json => json(level, message, &time),
    }
}

#[derive(Serialize)]
struct JsonLine<'a> {
    level: &'static str,
    msg: &'a str,
    time: &'a str,
}

fn json(level: Level, message: &str, time: &str) -> String {
    let line = JsonLine { level: name(level), msg: message, time };
    // Three strings always serialize; should that ever change, a caller that waits for JSON still
    // learns the level.
    let text = serde_json::to_string(&line)
        .unwrap_or_else(|_| format!("{{\"level\":\"{}\"}}", line.level));
    format!("{text}\n")
}

/// A value as logrus's text formatter writes it: bare when it consists of harmless characters,
/// otherwise as a string of Go (source: logrus, `TextFormatter`; Go, `strconv.Quote`).
fn logrus_value(text: &str) -> String {
    let bare = |letter: char| letter.is_ascii_alphanumeric() || "-._/@^+".contains(letter);
    if text.chars().all(bare) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            letter if is_printable(letter) => quoted.push(letter),
            letter => push_escape(&mut quoted, letter),
        }
    }
    quoted.push('"');
    quoted
}

/// `\x1b` for ASCII, `\u009b` for more, `\U000e0001` for most.
fn push_escape(text: &mut String, letter: char) {
    let code = u32::from(letter);
    // Writing to a string cannot fail.
    let _: std::fmt::Result = match code {
        0..0x80 => write!(text, "\\x{code:02x}"),
        0x80..0x1_0000 => write!(text, "\\u{code:04x}"),
        _ => write!(text, "\\U{code:08x}"),
    };
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn at() -> SystemTime {
        UNIX_EPOCH + Duration::new(1_700_000_000, 999_999_999)
    }

    #[test]
    fn text_lines_are_logrus_s() {
        let cases = [
            ("done", "msg=done"),
            ("", "msg="),
            ("two words", "msg=\"two words\""),
            ("a=\"b\"\\", "msg=\"a=\\\"b\\\"\\\\\""),
            ("é\n\t\x1b[31m", "msg=\"é\\n\\t\\x1b[31m\""),
            ("\u{9b}\u{202e}\u{e0001}", "msg=\"\\u009b\\u202e\\U000e0001\""),
            ("/run/x-1.log@^+", "msg=/run/x-1.log@^+"),
        ];
        for (message, expected) in cases {
            let line = for_file(Format::Text, Level::Warn, message, at());
            assert_eq!(line, format!("time=\"2023-11-14T22:13:20Z\" level=warning {expected}\n"));
        }
    }

    #[test]
    fn json_lines_are_one_object_each() {
        let message = "no \"such\" file\n{}\x1b\u{2028}\\";
        let line = for_file(Format::Json, Level::Error, message, at());
        assert!(line.starts_with("{\"level\":\"error\",\"msg\":\""), "{line}");
        assert!(line.ends_with(",\"time\":\"2023-11-14T22:13:20Z\"}\n"), "{line}");
        assert_eq!(line.matches('\n').count(), 1);
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["msg"], message);
        assert_eq!(object.as_object().unwrap().len(), 3);
    }

    #[test]
    fn people_get_no_escapes_but_our_colours() {
        let line = for_people(Level::Error, "bad\x1b]0;title\x07\nerror: forged", false);
        assert_eq!(line, "error: bad\\x1b]0;title\\x07\\nerror: forged\n");
        assert_eq!(for_people(Level::Info, "hé", false), "info: hé\n");
        let coloured = for_people(Level::Error, "x", true);
        assert_eq!(coloured, "\x1b[1;31merror:\x1b[0m x\n");
    }
}

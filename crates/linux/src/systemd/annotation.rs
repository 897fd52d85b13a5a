//! Annotations `org.systemd.property.NAME` whose values are GVariant texts (runc docs/systemd.md
//! "Auxiliary properties"; GLib "GVariant Text Format"): truth values, numbers with or without a
//! type, strings, and arrays of strings.

use std::collections::BTreeMap;

use super::{Error, Property, Value};

const PREFIX: &str = "org.systemd.property.";
/// What the runtime itself answers for: with these a bundle could pull other processes into its
/// scope, or leave it.
const OURS: [&str; 4] = ["Delegate", "DelegateControllers", "PIDs", "Slice"];

/// The properties that a bundle's annotations ask for.
///
/// # Errors
/// When a name is none, or is the runtime's to set, or a value is not understood.
pub fn properties(annotations: &BTreeMap<String, String>) -> Result<Vec<Property>, Error> {
    let asked = annotations
        .iter()
        .filter_map(|(key, value)| key.strip_prefix(PREFIX).map(|name| property(key, name, value)));
    asked.collect()
}

fn property(annotation: &str, name: &str, text: &str) -> Result<Property, Error> {
    let wrong =
        |reason| Error::Annotation { name: annotation.to_owned(), value: text.to_owned(), reason };
    // A shorter name than three letters no property has.
    if name.len() < 3 || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(wrong("is set under a name that no property has"));
    }
    if OURS.contains(&name) {
        return Err(wrong("is asked for a property that only the runtime sets"));
    }
    let value = parse(text.trim()).ok_or_else(|| {
        wrong("is not understood: true, 5, uint64 5, 1.5, 'text' and ['text', 'text'] are")
    })?;
    // Units are written with seconds, while the bus has microseconds only.
    let Some(stem) = name.strip_suffix("Sec").filter(|stem| !stem.ends_with('U')) else {
        return Ok(Property::required(name, value));
    };
    let value = microseconds(&value).ok_or_else(|| wrong("is not a time in seconds"))?;
    Ok(Property::required(&format!("{stem}USec"), Value::U64(value)))
}

/// Times are unsigned 64-bit numbers of microseconds on the bus.
fn microseconds(value: &Value) -> Option<u64> {
    let seconds = match value {
        Value::I32(number) => u64::try_from(*number).ok()?,
        Value::U32(number) => u64::from(*number),
        Value::I64(number) => u64::try_from(*number).ok()?,
        // What stands for "never" stays so.
        Value::U64(u64::MAX) => return Some(u64::MAX),
        Value::U64(number) => *number,
        Value::F64(number) if (0.0..1e12).contains(number) => {
            return Some((number * 1e6).round() as u64);
        }
        _ => return None,
    };
    seconds.checked_mul(1_000_000)
}

fn parse(text: &str) -> Option<Value> {
    match text {
        "true" => return Some(Value::Bool(true)),
        "false" => return Some(Value::Bool(false)),
        _ => {}
    }
    if text.starts_with(['\'', '"']) {
        let (string, rest) = quoted(text)?;
        return rest.is_empty().then_some(Value::Text(string));
    }
    if let Some(list) = text.strip_prefix('[') {
        return strings(list.trim_start()).map(Value::Texts);
    }
    match text.split_once(' ') {
        Some(("boolean", rest)) => rest.trim().parse().ok().map(Value::Bool),
        Some(("int32", rest)) => rest.trim().parse().ok().map(Value::I32),
        Some(("uint32", rest)) => rest.trim().parse().ok().map(Value::U32),
        Some(("int64", rest)) => rest.trim().parse().ok().map(Value::I64),
        Some(("uint64", rest)) => rest.trim().parse().ok().map(Value::U64),
        Some(("double", rest)) => double(rest.trim()),
        Some(_) => None,
        None => text.parse().ok().map(Value::I32).or_else(|| double(text)),
    }
}

/// Rust reads "inf" and "nan" as numbers, too, and whole numbers that are too large.
fn double(text: &str) -> Option<Value> {
    if !text.contains(['.', 'e']) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    number.is_finite().then_some(Value::F64(number))
}

/// The string at the beginning, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut letters = text.char_indices();
    let (_, quote) = letters.next()?;
    let mut string = String::new();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\0' => return None,
            '\\' => match letters.next()?.1 {
                letter @ ('\\' | '\'' | '"') => string.push(letter),
                'n' => string.push('\n'),
                't' => string.push('\t'),
                _ => return None,
            },
            letter if letter == quote => return Some((string, text[at + 1..].trim_start())),
            letter => string.push(letter),
        }
    }
    None
}

/// What follows the bracket of an array.
fn strings(mut rest: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    if rest == "]" {
        return Some(found);
    }
    loop {
        let (string, after) = rest.starts_with(['\'', '"']).then(|| quoted(rest))??;
        found.push(string);
        match after.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None => return (after == "]").then_some(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: &str) -> Result<Property, Error> {
        let annotations = [(format!("{PREFIX}{name}"), value.to_owned())];
        properties(&annotations.into()).map(|mut all| all.remove(0))
    }

    #[test]
    fn values() {
        let text = |text: &str| Value::Text(text.to_owned());
        let texts = |all: &[&str]| Value::Texts(all.iter().map(ToString::to_string).collect());
        for (written, value) in [
            ("true", Value::Bool(true)),
            ("boolean false", Value::Bool(false)),
            ("7", Value::I32(7)),
            ("-7", Value::I32(-7)),
            ("uint64 18446744073709551615", Value::U64(u64::MAX)),
            ("int64 -1", Value::I64(-1)),
            ("uint32 9", Value::U32(9)),
            ("1.5", Value::F64(1.5)),
            ("double 2.0", Value::F64(2.0)),
            ("'inactive-or-failed'", text("inactive-or-failed")),
            ("\"it's\"", text("it's")),
            (r"'it\'s'", text("it's")),
            ("['a.service', 'b.service']", texts(&["a.service", "b.service"])),
            ("[]", texts(&[])),
        ] {
            assert_eq!(of("CollectMode", written).unwrap().value, value, "{written}");
        }
        for written in [
            "",
            "'",
            "'a",
            "'a' b",
            "[",
            "['a'",
            "['a',]",
            "[1]",
            "uint64 -1",
            "uint64",
            "byte 3",
            "yes",
            "nan",
            "inf",
            "@as []",
            "'a\0b'",
            "99999999999999999999",
            "{}",
            "<1>",
        ] {
            assert!(of("CollectMode", written).is_err(), "{written:?} was accepted");
        }
    }

    #[test]
    fn seconds_become_microseconds() {
        let usec = |value| Property::required("TimeoutStopUSec", Value::U64(value));
        assert_eq!(of("TimeoutStopSec", "2").unwrap(), usec(2_000_000));
        assert_eq!(of("TimeoutStopSec", "uint64 2").unwrap(), usec(2_000_000));
        assert_eq!(of("TimeoutStopSec", "0.25").unwrap(), usec(250_000));
        assert_eq!(of("TimeoutStopUSec", "uint64 5").unwrap(), usec(5));
        for wrong in ["'2'", "-2", "uint64 9999999999999999999", "-0.5"] {
            assert!(of("TimeoutStopSec", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names() {
        for name in ["", "Ab", "Memory Max", "Memory-Max", "PIDs", "Slice", "Delegate", "Mem0ry"] {
            assert!(of(name, "true").is_err(), "{name}");
        }
        let other = [("org.systemd.other".to_owned(), "?".to_owned())];
        assert_eq!(properties(&other.into()).unwrap(), []);
    }
}

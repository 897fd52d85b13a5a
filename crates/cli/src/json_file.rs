//! JSON documents that the command line names: read whole, with line and column in every error,
//! and refused where they say something that would be dropped.

use std::io::Read;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::Failure;

/// The most such a file may hold, in bytes; real ones have a few thousand.
const MOST: u64 = 1 << 20;

/// Reads a file; `-` is standard input.
pub(crate) fn read<T: DeserializeOwned + Serialize>(path: &Path) -> Result<T, Failure> {
    let mut text = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(MOST + 1).read_to_end(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut text))
    };
    read.map_err(Failure::io("read", path))?;
    if text.len() as u64 > MOST {
        return Err(Failure::new(format!("{}: larger than 1 MiB", path.display())));
    }
    parse(&text).map_err(|problem| Failure::new(format!("{}:{problem}", path.display())))
}

/// Parses a document; the error is `line:column: problem`, or ` field: problem`.
pub(crate) fn parse<T: DeserializeOwned + Serialize>(text: &[u8]) -> Result<T, String> {
    let explain = |error: serde_json::Error| {
        let words = error.to_string();
        let problem = words.rfind(" at line ").map_or(words.as_str(), |end| &words[..end]);
        format!("{}:{}: {problem}", error.line(), error.column())
    };
    let document: T = serde_json::from_slice(text).map_err(explain)?;
    let given: Value = serde_json::from_slice(text).map_err(explain)?;
    let kept = serde_json::to_value(&document).map_err(explain)?;
    match lost(&given, &kept) {
        Some(field) => Err(format!(" {field}: this field is not supported")),
        None => Ok(document),
    }
}

/// The first field that says something and is not in what was understood.
fn lost(given: &Value, kept: &Value) -> Option<String> {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => given.iter().find_map(|(name, value)| {
            let lost = match kept.get(name) {
                Some(kept) => lost(value, kept)?,
                None if says_nothing(value) => return None,
                None => String::new(),
            };
            Some(if lost.is_empty() || lost.starts_with('[') {
                format!("{name}{lost}")
            } else {
                format!("{name}.{lost}")
            })
        }),
        (Value::Array(given), Value::Array(kept)) => {
            given.iter().zip(kept).enumerate().find_map(|(number, (given, kept))| {
                let lost = lost(given, kept)?;
                Some(if lost.starts_with('[') {
                    format!("[{number}]{lost}")
                } else {
                    format!("[{number}].{lost}")
                })
            })
        }
        _ => None,
    }
}

/// What Go writes for a field that was never set.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(says_nothing),
        Value::Object(fields) => fields.values().all(says_nothing),
    }
}

#[cfg(test)]
mod tests {
    use lxcri_core::oci::{Process, Resources};

    use super::*;

    #[test]
    fn what_would_be_dropped_is_refused() {
        let cases = [
            (r#"{"memory": {"limit": 5}}"#, None),
            (r#"{"memory": {"limit": 5, "new": 0}, "other": null}"#, None),
            (r#"{"memory": {"limit": 5, "new": 1}}"#, Some(" memory.new: ")),
            (
                r#"{"devices": [{"allow": true}, {"allow": true, "x": "y"}]}"#,
                Some(" devices[1].x: "),
            ),
            (r#"{"cpus": {"shares": 5}}"#, Some(" cpus: ")),
            (r#"{"memory": "5"}"#, Some("1:14: ")),
            ("{\n", Some("2:0: ")),
            ("", Some("1:0: ")),
        ];
        for (text, problem) in cases {
            match (parse::<Resources>(text.as_bytes()), problem) {
                (Ok(_), None) => {}
                (Err(error), Some(start)) => assert!(error.starts_with(start), "{text}: {error}"),
                (other, _) => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_process_as_clients_write_it_is_whole() {
        let text = r#"{"terminal": false, "user": {"uid": 0, "gid": 0, "additionalGids": [0, 10]},
            "args": ["true"], "env": ["A=b"], "cwd": "/", "capabilities": {"bounding": ["CAP_KILL"],
            "inheritable": null}, "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 5, "soft": 5}],
            "noNewPrivileges": true, "oomScoreAdj": 0, "consoleSize": {"height": 0, "width": 0}}"#;
        assert!(parse::<Process>(text.as_bytes()).is_ok());
        let text = r#"{"cwd": "/", "args": ["true"], "ioPriority": {"class": "IOPRIO_CLASS_RT"}}"#;
        assert!(parse::<Process>(text.as_bytes()).unwrap_err().starts_with(" ioPriority: "));
    }
}

//! `config.json`, and what every room says of its fields.
//!
//! A walk over any bytes ends. What is read is written the same, and what a room refuses in the
//! written form it refuses in the original. A refused field is found wherever it is set, and
//! whatever stands before it.

use std::path::Path;

use lxcri_backends::ROOMS;
use lxcri_core::backend::Room;
use lxcri_core::coverage::Treatment;
use lxcri_core::oci::Spec;
use serde_json::{Map, Value};

use crate::broken::{Outcome, holds, never, same};

pub(super) fn run(input: &[u8]) -> Outcome {
    let path = Path::new("config.json");
    for room in ROOMS {
        room.coverage.check(input);
    }
    let Ok(spec) = Spec::parse(input, path) else { return Ok(()) };
    let text = serde_json::to_vec(&spec).map_err(never("a document is written"))?;
    let again = Spec::parse(&text, path).map_err(never("a document is read back"))?;
    same(&again, &spec, "a document is read as it was written")?;
    // One field for each input: a thousand inputs try them all many times over.
    let number = input.iter().map(|byte| usize::from(*byte)).sum();
    for room in ROOMS {
        let is_refused = |text: &[u8]| !room.coverage.check(text).refused.is_empty();
        let hides_nothing = is_refused(input) || !is_refused(&text);
        holds(hides_nothing, &format!("{} refuses in any form what it refuses", room.name))?;
        if let Some(longer) = with_refused_end(input) {
            holds(is_refused(&longer), &format!("{} refuses the last field", room.name))?;
        }
        // Documents deeper than a value can be end here.
        if let Ok(document) = serde_json::from_slice(input) {
            refuses_field(room, &document, number)?;
        }
    }
    Ok(())
}

/// The text of a document with a field at its end that every room refuses.
fn with_refused_end(input: &[u8]) -> Option<Vec<u8>> {
    let open = input.trim_ascii_end().strip_suffix(b"}")?;
    Some([open, br#", "linux": {"mountLabel": "set"}}"#].concat())
}

/// Sets one of the room's refused fields, by number, in the document.
fn refuses_field(room: &Room, document: &Value, number: usize) -> Outcome {
    let fields: Vec<&str> = refused_fields(room).collect();
    let Some(field) = fields.get(number % fields.len().max(1)) else { return Ok(()) };
    let mut changed = document.clone();
    let (path, value) = field.split_once('=').unwrap_or((field, "set"));
    set(&mut changed, path, value);
    let text = serde_json::to_vec(&changed).map_err(never("a document is written"))?;
    let findings = room.coverage.check(&text);
    let is_found = findings.refused.iter().any(|finding| finding.field == *field);
    holds(is_found, &format!("{} refuses {field} wherever it is set", room.name))
}

fn refused_fields(room: &Room) -> impl Iterator<Item = &'static str> {
    let rows = room.coverage.rows().iter();
    rows.filter(|row| matches!(row.treatment, Treatment::Refused { .. })).map(|row| row.path)
}

/// Puts `value` at a path such as `mounts[].options[]`, as a further element of its lists, over
/// whatever stands in the way.
fn set(node: &mut Value, path: &str, value: &str) {
    if path.is_empty() {
        *node = Value::from(value);
        return;
    }
    if let Some(rest) = path.strip_prefix("[]") {
        if !node.is_array() {
            *node = Value::Array(Vec::new());
        }
        if let Some(items) = node.as_array_mut() {
            let mut item = Value::Null;
            set(&mut item, rest, value);
            items.push(item);
        }
        return;
    }
    let path = path.strip_prefix('.').unwrap_or(path);
    let (name, rest) = path.split_at(path.find(['.', '[']).unwrap_or(path.len()));
    if !node.is_object() {
        *node = Value::Object(Map::new());
    }
    if let Some(fields) = node.as_object_mut() {
        set(fields.entry(name).or_insert(Value::Null), rest, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document a user starts from, with every refused field of every room set in turn.
    #[test]
    fn every_refused_field_is_refused() {
        let spec = lxcri_core::oci::template::spec(None, true);
        let document = serde_json::to_value(spec).unwrap();
        for room in ROOMS {
            let clean = room.coverage.check(&serde_json::to_vec(&document).unwrap());
            assert_eq!(clean.refused, vec![], "{}", room.name);
            let count = refused_fields(room).count();
            assert!(count > 10, "{}: {count}", room.name);
            for number in 0..count {
                refuses_field(room, &document, number).unwrap();
            }
        }
    }
}

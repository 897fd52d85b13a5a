//! registries.conf. What is read answers for every name; a problem lies in the file; a blocked name
//! is to be had nowhere; nothing changes a digest.

use std::path::Path;

use lxcri_images::reference::{Reference, ShortName};
use lxcri_images::registries::{LookupError, Registries};

use crate::broken::{Outcome, holds, never};

/// Names that the seeds say something about, and some they do not.
const NAMES: [&str; 9] = [
    "nginx",
    "foo/bar:1",
    "example.com/foo/image:latest",
    "a.example.com:5000/x",
    "registry.com/image",
    "localhost:5000/app",
    "[::1]:5000/app",
    "blocked.org/x",
    "example.com/foo@sha256:dbcc1c35ac38df41fd2f5e4130b32ffdb93ebae8b3dbe638c23575912276fc9c",
];

pub(super) fn run(input: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
    match Registries::parse(Path::new("/r.conf"), text) {
        Ok(registries) => NAMES.iter().try_for_each(|name| look_up(&registries, name)),
        Err(error) => {
            let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
            let line = error.line.ok_or(0).map_err(never("a problem has a line"))?;
            holds((1..=lines).contains(&line), "a problem lies in the file")?;
            message(&error.to_string(), &error.hints())
        }
    }
}

fn look_up(registries: &Registries, name: &str) -> Outcome {
    let helpers = registries.credential_helpers();
    holds(helpers.iter().all(|name| !name.contains('/')), "a helper is no path")?;
    holds(!helpers.is_empty(), "there is a helper")?;
    if let Ok(short) = name.parse::<ShortName>() {
        match registries.resolve_short(&short) {
            Ok(references) => holds(!references.is_empty(), "a short name leads somewhere")?,
            Err(error) => message(&error.to_string(), &error.hints())?,
        }
    }
    let wanted = name.parse::<Reference>().map_err(never("the names are names"))?;
    let push = registries.push_endpoint(&wanted);
    match registries.endpoints(&wanted) {
        Ok(endpoints) => {
            holds(!endpoints.is_empty(), "a name is to be had somewhere")?;
            let asked =
                |found: &Reference| found.digest() == wanted.digest() || wanted.digest().is_none();
            holds(endpoints.iter().all(|end| asked(&end.reference)), "a digest stays")?;
            let own = endpoints.iter().rposition(|end| !end.is_mirror);
            holds(own.is_none_or(|at| at + 1 == endpoints.len()), "mirrors come first")?;
            let push = push.map_err(never("what can be pulled is not blocked"))?;
            holds(push.reference == wanted.tagged_or_latest(), "a push goes where it says")
        }
        Err(error) => {
            let is_blocked = matches!(push, Err(LookupError::Blocked { .. }));
            let says_so = matches!(error, LookupError::Blocked { .. });
            holds(says_so || !is_blocked, "what is blocked is blocked both ways")?;
            message(&error.to_string(), &error.hints())
        }
    }
}

fn message(message: &str, hints: &[String]) -> Outcome {
    let mut lines = std::iter::once(message).chain(hints.iter().map(String::as_str));
    // A tab is shown as it is, here and in the log.
    let is_line = |line: &str| !line.chars().any(|c| c.is_control() && c != '\t');
    holds(lines.all(is_line), "an error is one line without controls")
}

//! The processes of a container: the program's `ps --format json`.

use lxcri_core::backend::{Container, Processes};
use lxcri_core::error::Error;

use crate::Crun;
use crate::ask::{self, PATIENCE};
use crate::error::CrunError;
use crate::part::Part;
use crate::program::name_of;

impl Processes for Crun {
    fn processes(&self, container: &Container) -> Result<Vec<i32>, Error> {
        let program = self.program_of(Some(&Part::read(&container.entry)?))?;
        let words = ["ps", "--format", "json"];
        let output = ask::about(&program, &container.entry, &words, &[], Some(PATIENCE))?;
        Ok(parse(&output).map_err(|problem| CrunError::Answer {
            program: name_of(&program),
            verb: "ps",
            problem,
        })?)
    }
}

impl Crun {
    /// Runs a verb about a container, for its output.
    pub(crate) fn about(
        &self,
        container: &Container,
        words: &[&str],
        input: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let program = self.program_of(Some(&Part::read(&container.entry)?))?;
        Ok(ask::about(&program, &container.entry, words, input, None)?)
    }
}

/// A list of pids; Go programs write an empty one as `null`.
fn parse(output: &[u8]) -> Result<Vec<i32>, String> {
    let pids: Option<Vec<i32>> =
        serde_json::from_slice(output).map_err(|error| error.to_string())?;
    let mut pids = pids.unwrap_or_default();
    pids.sort_unstable();
    Ok(pids)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lists() {
        assert_eq!(parse(b"[\n  3,\n  1\n]\n").unwrap(), [1, 3]);
        assert!(parse(b"null").unwrap().is_empty());
        for text in ["", "{}", "[\"1\"]", "[99999999999]"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}

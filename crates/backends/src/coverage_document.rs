//! `docs/reference/oci-coverage.md`, made from the rooms' tables.

use std::fmt::Write as _;

use lxcri_core::backend::Room;
use lxcri_core::coverage::Treatment;

const HEAD: &str = "# Coverage of config.json\n\n\
    Made from the tables in the code; do not edit. Renew it with\n\
    `UPDATE_DOCUMENTS=1 cargo test -p lxcri-tests --test documents`.\n\n\
    For each field of the OCI runtime specification and each backend: **applied**, with the \
    conformance case\n(`tests/src/conformance`) that reads the effect back; **refused**: `create` \
    fails before anything is made;\n**ignored**: harmless, with a warning. A row speaks for \
    everything below it that has no row of its own;\na field without any row is ignored with a \
    warning, as the specification asks for unknown fields.\n";

/// The whole document.
pub fn coverage_document(rooms: &[&Room]) -> String {
    let mut text = HEAD.to_owned();
    for room in rooms {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "\n## {}\n\n{}.\n\n| field | | |\n| --- | --- | --- |",
            room.name, room.summary
        );
        for row in room.coverage.rows() {
            let (word, said) = match row.treatment {
                Treatment::Applied { test } => ("applied", format!("`{test}`")),
                Treatment::Refused { because } => ("refused", because.to_owned()),
                Treatment::Ignored { because } => ("ignored", because.to_owned()),
            };
            let _ = writeln!(text, "| `{}` | {word} | {said} |", row.path);
        }
    }
    text
}

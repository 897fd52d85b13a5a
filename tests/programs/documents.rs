//! Documents that are made from the code say what the code says, and the coverage tables name
//! conformance cases that exist. `UPDATE_DOCUMENTS=1` writes the documents anew.

use std::path::{Path, PathBuf};

use lxcri_backends::{ROOMS, coverage_document};
use lxcri_core::config::Schema;
use lxcri_core::coverage::Treatment;

fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name)
}

fn is_current(name: &str, made: &str) {
    let path = reference(name);
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        assert!(std::fs::write(&path, made).is_ok(), "{} cannot be written", path.display());
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == made, "{} is old: run this test with UPDATE_DOCUMENTS=1", path.display());
}

#[test]
fn coverage() {
    is_current("oci-coverage.md", &coverage_document(ROOMS));
}

#[test]
fn configuration() {
    let sections = ROOMS.iter().filter_map(|room| room.section.copied());
    let schema = Schema::new(sections, ROOMS.iter().map(|room| room.name));
    is_current("config.md", &schema.map(|schema| schema.to_markdown()).unwrap_or_default());
}

#[test]
fn every_applied_row_names_a_case_that_exists() {
    let cases = lxcri_tests::conformance::case_names();
    for room in ROOMS {
        for row in room.coverage.rows() {
            if let Treatment::Applied { test } = row.treatment {
                assert!(cases.contains(&test), "{}: {} names {test:?}", room.name, row.path);
            }
        }
    }
}

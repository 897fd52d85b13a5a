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
    let sections = sections.chain(lxcri_images::settings::SECTIONS);
    let schema = Schema::new(sections, ROOMS.iter().map(|room| room.name));
    is_current("config.md", &schema.map(|schema| schema.to_markdown()).unwrap_or_default());
}

/// The names in the `steps!` lists of the source, by file.
fn steps_in(directory: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            steps_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            // Tests of the lists themselves may have one of their own.
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            for list in text.split("steps! {").skip(1) {
                let list = list.split("\n}").next().unwrap_or_default();
                let names =
                    list.lines().filter_map(|line| line.split_once(" = \"")?.1.split('"').next());
                found.extend(names.map(str::to_owned));
            }
        }
    }
}

/// A list of steps that neither a room nor the images name would be tested by nobody.
#[test]
fn every_step_is_of_a_room_or_of_images() {
    let mut found = Vec::new();
    steps_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates"), &mut found);
    assert!(found.len() > 50, "the lists are not where they were: {found:?}");
    for step in &found {
        let is_of_room = ROOMS.iter().any(|room| room.all_steps().any(|name| name == step));
        let is_of_images = lxcri_images::steps().any(|name| name == step);
        assert!(is_of_room || is_of_images, "neither a room nor images have the step {step}");
    }
}

#[test]
fn a_step_has_one_name_in_its_room() {
    for room in ROOMS {
        let mut names: Vec<_> = room.all_steps().collect();
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
        assert!(twice.is_none(), "{}: {twice:?}", room.name);
        assert!(names.iter().all(|name| (1..=2).contains(&name.matches('/').count())));
    }
}

#[test]
fn a_step_of_images_has_a_name_of_its_own() {
    let mut names: Vec<_> = lxcri_images::steps().collect();
    names.sort_unstable();
    assert_eq!(names.windows(2).find(|pair| pair[0] == pair[1]), None);
    assert!(names.iter().all(|name| (1..=2).contains(&name.matches('/').count())));
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

//! Bad input: each gives a clear error with the right exit code and leaves nothing behind.
//! (That nothing is left is checked by the harness after every test.)

pub mod configuration;
pub mod contract;
pub mod crash;
pub mod disk;
pub mod identity;
pub mod program;

use std::process::ExitCode;

use lxcri_testkit::Place;
use lxcri_testkit::Runtime;
use lxcri_testkit::View;
use lxcri_testkit::harness;

use crate::registry;
use crate::registry::Case;

/// Every case.
#[must_use]
pub fn cases() -> Vec<Case> {
    [
        configuration::CASES,
        contract::CASES,
        identity::CASES,
        program::CASES,
        disk::CASES,
        crash::CASES,
    ]
    .concat()
}

/// The test program.
#[must_use]
pub fn main() -> ExitCode {
    let tests = cases()
        .into_iter()
        .map(|case| registry::test("bad_input", case, |_dir| Ok(Runtime::native())))
        .collect();
    harness::main(Place::Host(View::Hybrid), tests)
}

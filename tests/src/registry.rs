//! Tests under names.

use std::process::ExitCode;

use lxcri_testkit::Place;
use lxcri_testkit::Room;
use lxcri_testkit::Runtime;
use lxcri_testkit::Verdict;
use lxcri_testkit::harness;
use lxcri_testkit::harness::RuntimeMaker;
use lxcri_testkit::harness::Test;

/// A test under its name, `topic/what`.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The name, by which the coverage table refers to it.
    pub name: &'static str,
    /// What it does.
    pub run: fn(&Room) -> Verdict,
}

/// A list of [`Case`]s of one topic, named after their functions.
macro_rules! cases {
    ($topic:literal: $($function:ident),+ $(,)?) => {
        /// The cases of this topic.
        pub const CASES: &[$crate::registry::Case] = &[
            $($crate::registry::Case {
                name: concat!($topic, "/", stringify!($function)),
                run: $function,
            }),+
        ];
    };
}

pub(crate) use cases;

/// A test program in one place: every case of a list, with the built-in backend at hand.
pub fn main(place: Place, cases: &[Case]) -> ExitCode {
    let tests = cases.iter().map(|case| test("native", *case, |_dir| Ok(Runtime::native())));
    harness::main(place, tests.collect())
}

/// The test of a case against one runtime, named `PREFIX::topic::what`.
pub fn test(prefix: &str, case: Case, runtime: RuntimeMaker) -> Test {
    let name = format!("{prefix}::{}", case.name.replace('/', "::"));
    Test { name, runtime, body: Box::new(case.run) }
}

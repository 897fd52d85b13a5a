//! The conformance cases in the v1 view.

use lxcri_testkit::{CgroupDriver, Place, View};

fn main() -> std::process::ExitCode {
    lxcri_tests::conformance::main(Place::Host(View::V1), &[CgroupDriver::Cgroupfs])
}

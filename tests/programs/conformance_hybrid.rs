//! The conformance cases in the hybrid view.

use lxcri_testkit::{CgroupDriver, Place, View};

fn main() -> std::process::ExitCode {
    lxcri_tests::conformance::main(Place::Host(View::Hybrid), &[CgroupDriver::Cgroupfs])
}

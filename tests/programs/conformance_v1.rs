//! The conformance cases in the v1 view.

use lxcri_testkit::{CgroupDriver, View};

fn main() -> std::process::ExitCode {
    lxcri_tests::conformance::main(View::V1, CgroupDriver::Cgroupfs)
}

//! The conformance cases in the v2 view.

use lxcri_testkit::{CgroupDriver, View};

fn main() -> std::process::ExitCode {
    lxcri_tests::conformance::main(View::V2, CgroupDriver::Cgroupfs)
}

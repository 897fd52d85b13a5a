//! The conformance cases in the hybrid view.

use lxcri_testkit::{CgroupDriver, View};

fn main() -> std::process::ExitCode {
    lxcri_tests::conformance::main(View::Hybrid, CgroupDriver::Cgroupfs)
}

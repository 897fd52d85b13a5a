//! The conformance cases in the vm guest.

use lxcri_testkit::{CgroupDriver, Place, Tier};

fn main() -> std::process::ExitCode {
    lxcri_tests::conformance::main(
        Place::Guest(Tier::Vm),
        &[CgroupDriver::Cgroupfs, CgroupDriver::Systemd],
    )
}

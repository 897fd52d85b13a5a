//! The conformance cases in the uml guest.

use lxcri_testkit::{CgroupDriver, Place, Tier};

fn main() -> std::process::ExitCode {
    lxcri_tests::conformance::main(
        Place::Guest(Tier::Uml),
        &[CgroupDriver::Cgroupfs, CgroupDriver::Systemd],
    )
}

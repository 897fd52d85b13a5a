//! The crash tests in the uml guest, where systemd makes the cgroups: every step of every room is a test. See `lxcri_tests::crash`.

use lxcri_backends::ROOMS;
use lxcri_testkit::{CgroupDriver, Place, Tier};
use lxcri_tests::crash;

fn main() -> std::process::ExitCode {
    let rooms = ROOMS.iter().map(|room| crash::Steps::new(room.name, room.all_steps()));
    crash::main(Place::Guest(Tier::Uml), CgroupDriver::Systemd, rooms)
}

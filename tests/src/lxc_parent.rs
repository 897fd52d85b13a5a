//! Who is the parent of an LXC container and whose is the pid, without a runtime around it: a
//! configuration made by hand, a `create` that does nothing else ([`creator`]), and this test in the
//! place of conmon, which adopts what `create` leaves and waits for the pid in the pid file.

pub mod cases;
mod creator;
mod scene;

use std::path::Path;
use std::process::ExitCode;

use lxcri_testkit::Place;

use crate::registry;

/// What runs in the process that is `create`.
const CREATE: &str = "--create-in-lxc";

/// A test program in one place.
pub fn main(place: Place) -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(CREATE) {
        return creator::main(arguments);
    }
    // LXC's own directory, which it makes with its first container: it is the machine's.
    if Path::new("/usr/bin/lxc-start").exists() {
        // Where it cannot be made, LXC says so.
        let _ = std::fs::create_dir_all("/run/lxc/lock");
    }
    registry::main(place, cases::CASES)
}

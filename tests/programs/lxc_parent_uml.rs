//! Who is the parent and whose is the pid of an LXC container, in the uml guest.

use lxcri_testkit::{Place, Tier};

fn main() -> std::process::ExitCode {
    lxcri_tests::lxc_parent::main(Place::Guest(Tier::Uml))
}

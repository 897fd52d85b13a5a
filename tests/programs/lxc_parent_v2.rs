//! Who is the parent and whose is the pid of an LXC container, in the v2 view.

use lxcri_testkit::{Place, View};

fn main() -> std::process::ExitCode {
    lxcri_tests::lxc_parent::main(Place::Host(View::V2))
}

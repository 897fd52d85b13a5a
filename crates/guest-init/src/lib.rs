//! `lxcri-init` lives inside of a container that somebody else's init system made (LXC, later a CT)
//! and gives it what OCI asks for: the user's process is made at `create`, runs at `start`, gets its
//! standard streams without a relay, and its wait status reaches whoever waits for the container.
//!
//! Three processes play together; ARCHITECTURE.md ("The lxc room") draws them.
//!
//! - [`pid1`]: PID 1 of the container's pid namespace. Makes the user's process, reaps, hands on.
//! - [`stand_in`]: the process whose pid the runtime tells its caller. It waits to be told how the
//!   user's process ended, and ends like it.
//! - [`maker`]: the runtime's side, on the host.
//!
//! They speak in frames ([`line`]) that carry a [`message`], one of which is the [`task`].

pub mod codec;
mod dress;
pub mod line;
pub mod maker;
pub mod message;
mod payload;
pub mod pid1;
pub mod stand_in;
pub mod task;
mod watch;

use std::io::Write as _;

/// The word that makes the program a stand-in.
pub const STAND_IN: &str = "stand-in";

/// Chooses what to be. Gives the exit code.
pub fn main() -> i32 {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(word) if word == STAND_IN => stand_in::main(),
        None if rustix::process::getpid().is_init() => pid1::main(),
        None if std::env::var_os("container").is_some() => pid1::main(),
        _ => {
            // Nothing can be done where standard error is closed.
            let _ = std::io::stderr().write_all(
                b"lxcri-init: this program runs inside of containers; proxmox-lxcri starts it\n",
            );
            2
        }
    }
}

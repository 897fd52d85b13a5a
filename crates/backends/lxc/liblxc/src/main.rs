//! `lxcri-liblxc NAME LXCPATH CONFIG`: loads liblxc, starts one container in its own process, stays as
//! its monitor, and ends when it has ended. It is the one program of ours that is linked dynamically.
//!
//! Standard input is the line to the runtime ([`lxcri_liblxc`] is the other side). Everything that
//! touches C is in `ffi`, `library` and `container`.

mod cause;
mod container;
mod ffi;
mod library;
mod monitor;

use std::process::ExitCode;

fn main() -> ExitCode {
    match monitor::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            // Nothing can be done where standard error is closed; the runtime was told already.
            let _ = writeln!(std::io::stderr(), "lxcri-liblxc: {error}");
            ExitCode::FAILURE
        }
    }
}

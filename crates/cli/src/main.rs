//! `proxmox-lxcri`: an OCI runtime and a command line for containers.
//!
//! From argv to an exit code: the words are parsed ([`args`]), configuration and logging are set up
//! ([`program`]), the command does its work through `lxcri_core::runtime` ([`commands`]), and what
//! went wrong is told in one place ([`failure`]).

mod args;
mod commands;
mod failure;
mod foreground;
mod images;
mod json_file;
mod output;
mod owner;
mod program;
mod progress;
mod size;
mod table;
mod terminal;

use std::process::ExitCode;

use args::Call;
use program::Program;

fn main() -> ExitCode {
    // What unpacks a layer is this program as well, and nothing else.
    if let Some(code) = lxcri_images::layer::worker_main_if_asked() {
        return code;
    }
    // Before anything is opened: later a gap in what the caller left us would be filled by ours.
    let inherited = lxcri_linux::process::inherited_descriptors();
    let call = match Call::parse(std::env::args_os()) {
        Ok(call) => call,
        Err(answer) => return output::answer(&answer),
    };
    let verb = call.verb;
    let done = Program::start(call.options, verb.reading, inherited)
        .and_then(|program| (verb.run)(&call.matches, &program));
    match done {
        Ok(code) => code,
        Err(failure) => failure.report(verb.failure),
    }
}

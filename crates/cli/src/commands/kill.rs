//! `kill`.

use std::process::ExitCode;

use lxcri_linux::signal::Signal;

use super::{finish, id};
use crate::failure::Failure;
use crate::program::Program;

/// Words of `kill`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri kill web-1            ask it to end (SIGTERM)
  proxmox-lxcri kill web-1 HUP        by name, with or without SIG
  proxmox-lxcri kill --all web-1 9    every process of it")]
pub(crate) struct Args {
    /// Send it to every process of the container
    #[arg(short, long)]
    all: bool,
    /// The container
    id: String,
    /// Name or number of the signal
    #[arg(default_value = "SIGTERM")]
    signal: String,
}

/// Sends the signal.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let signal = Signal::parse(&args.signal)
        .map_err(|error| Failure::new(error.to_string()).hint("such as TERM, KILL, HUP or 9"))?;
    finish(program.runtime()?.kill(&id(&args.id)?, signal.number(), args.all)?)
}

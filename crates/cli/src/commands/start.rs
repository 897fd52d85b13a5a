//! `start`.

use std::process::ExitCode;

use super::{finish, id};
use crate::failure::Failure;
use crate::program::Program;

/// Words of `start`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri start web-1")]
pub(crate) struct Args {
    /// The container
    id: String,
}

/// Starts its program.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    finish(program.runtime()?.start(&id(&args.id)?)?)
}

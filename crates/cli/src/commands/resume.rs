//! `resume`.

use std::process::ExitCode;

use super::id;
use crate::failure::Failure;
use crate::program::Program;

/// Words of `resume`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri resume web-1")]
pub(crate) struct Args {
    /// The container
    id: String,
}

/// Thaws it.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    program.runtime()?.resume(&id(&args.id)?)?;
    Ok(ExitCode::SUCCESS)
}

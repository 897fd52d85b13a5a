//! `pause`.

use std::process::ExitCode;

use super::id;
use crate::failure::Failure;
use crate::program::Program;

/// Words of `pause`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri pause web-1")]
pub(crate) struct Args {
    /// The container
    id: String,
}

/// Freezes it.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    program.runtime()?.pause(&id(&args.id)?)?;
    Ok(ExitCode::SUCCESS)
}

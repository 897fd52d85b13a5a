//! `version`.

use std::process::ExitCode;

use crate::args::VERSION;
use crate::failure::Failure;
use crate::output;
use crate::program::Program;

/// Words of `version`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri version")]
pub(crate) struct Args {}

/// Prints what `--version` prints.
pub(crate) fn run(_args: &Args, _program: &Program) -> Result<ExitCode, Failure> {
    output::data(format!("proxmox-lxcri {VERSION}\n").as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

//! `delete`.

use std::process::ExitCode;

use super::id;
use crate::failure::Failure;
use crate::program::Program;

/// Words of `delete`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri delete web-1
  proxmox-lxcri delete --force web-1    kill it first if it runs")]
pub(crate) struct Args {
    /// Kill what still runs; a container that does not exist is fine
    #[arg(short, long)]
    force: bool,
    /// The container
    id: String,
}

/// Removes it.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    program.runtime()?.delete(&id(&args.id)?, args.force)?;
    Ok(ExitCode::SUCCESS)
}

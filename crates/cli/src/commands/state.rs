//! `state`.

use std::process::ExitCode;

use super::id;
use crate::failure::Failure;
use crate::output;
use crate::program::Program;

/// Words of `state`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri state web-1")]
pub(crate) struct Args {
    /// The container
    id: String,
}

/// Prints it as runc does, with the owner left empty.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let mut state = program.runtime()?.state(&id(&args.id)?)?;
    state.owner = Some(String::new());
    output::json(&state, "  ")?;
    Ok(ExitCode::SUCCESS)
}

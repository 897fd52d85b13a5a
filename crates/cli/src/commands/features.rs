//! `features`.

use std::process::ExitCode;

use lxcri_backends::ROOMS;
use lxcri_core::Error;
use lxcri_core::runtime;

use crate::failure::Failure;
use crate::output;
use crate::program::Program;

/// Words of `features`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri features
  proxmox-lxcri --backend crun features")]
pub(crate) struct Args {}

/// Prints the features of the backend that is named or the default.
pub(crate) fn run(_args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let default: &str = program.config.get("runtime", "default_backend").map_err(Error::from)?;
    let name = program.options.backend.as_deref().unwrap_or(default);
    let room = ROOMS
        .iter()
        .find(|room| room.name == name)
        .ok_or_else(|| Failure::new(format!("unknown backend {name:?}")))?;
    output::json(&runtime::features(room.coverage), "  ")?;
    Ok(ExitCode::SUCCESS)
}

//! `logout`.

use std::process::ExitCode;

use crate::failure::Failure;
use crate::images::Images;
use crate::output;
use crate::program::Program;

/// Words of `logout`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri logout registry.example.com")]
pub(crate) struct Args {
    /// The registry [default: docker.io]
    #[arg(value_name = "HOST")]
    registry: Option<String>,
}

/// Forgets name and password of a registry.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let host = args.registry.as_deref().unwrap_or(lxcri_images::reference::DOCKER_IO);
    let out = Images::new(program)?.client()?.logout(host)?;
    for file in &out.elsewhere {
        output::note(&format!("{} still has a password for {host}", file.display()));
    }
    if out.removed {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::new(format!("{host}: nobody is logged in")))
}

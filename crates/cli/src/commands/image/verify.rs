//! `image verify`.

use std::process::ExitCode;

use crate::failure::Failure;
use crate::images::Images;
use crate::output;
use crate::program::Program;
use crate::progress;

/// Words of `image verify`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri image verify
  proxmox-lxcri image verify --repair    remove damaged blobs; the next pull brings them anew")]
pub(crate) struct Args {
    /// Say nothing but what is damaged
    #[arg(short, long)]
    quiet: bool,
    /// Remove damaged blobs
    #[arg(long)]
    repair: bool,
}

/// Verifies. Exits with 1 where something is damaged.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let store = Images::new(program)?.store()?;
    let progress = progress::listener(args.quiet);
    let damage = store.verify(progress.as_ref(), args.repair)?;
    for one in &damage {
        output::line(&one.to_string())?;
    }
    Ok(if damage.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

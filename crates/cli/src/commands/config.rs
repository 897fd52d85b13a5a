//! `config show` and `config check`.

use std::path::PathBuf;
use std::process::ExitCode;

use lxcri_core::config::{self, Problem};

use crate::failure::Failure;
use crate::output;
use crate::program::Program;

/// Words of `config`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri config show
  proxmox-lxcri config check
  proxmox-lxcri config check /etc/proxmox-lxcri.new/config.toml")]
pub(crate) struct Args {
    #[command(subcommand)]
    deed: Deed,
}

/// What to do with it.
#[derive(clap::Subcommand, Debug)]
enum Deed {
    /// Print the configuration in force, with the origin of every value
    #[command(after_help = "\
Examples:
  proxmox-lxcri config show
  proxmox-lxcri --config ./new.toml config show")]
    Show,
    /// Look for mistakes; exits with 1 where there are some
    #[command(after_help = "\
Examples:
  proxmox-lxcri config check
  proxmox-lxcri config check ./new.toml")]
    Check {
        /// Files or directories to check in place of the configuration in force
        files: Vec<PathBuf>,
    },
}

/// Shows or checks.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    match &args.deed {
        Deed::Show => show(program),
        Deed::Check { files } => check(program, files),
    }
}

/// What cannot be used is not shown as if it held: any mistake is a failure.
fn show(program: &Program) -> Result<ExitCode, Failure> {
    let config = config::load(&program.schema, &program.sources)
        .map_err(|problems| Failure::from(lxcri_core::Error::Config(problems)))?;
    output::data(config.to_toml().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn check(program: &Program, files: &[PathBuf]) -> Result<ExitCode, Failure> {
    if !files.is_empty() {
        let problems = config::check(&program.schema, files);
        return tell(problems.iter(), files.len());
    }
    match config::load(&program.schema, &program.sources) {
        Ok(config) => tell(std::iter::empty(), config.files().len()),
        Err(problems) => tell(problems.iter(), 0),
    }
}

fn tell<'p>(
    problems: impl Iterator<Item = &'p Problem>,
    files: usize,
) -> Result<ExitCode, Failure> {
    let mut found = false;
    for problem in problems {
        found = true;
        log::error!("{problem}");
        if let Some(hint) = &problem.hint {
            output::hint(hint);
        }
    }
    if found {
        return Ok(ExitCode::FAILURE);
    }
    let what = if files == 0 {
        "there is no configuration file".to_owned()
    } else {
        format!("read: {files}")
    };
    output::note(&format!("no mistakes ({what})"));
    Ok(ExitCode::SUCCESS)
}

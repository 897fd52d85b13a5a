//! `completion`.

use std::process::ExitCode;

use clap_complete::Shell;

use crate::failure::Failure;
use crate::program::Program;
use crate::{args, output};

/// Words of `completion`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri completion bash > /etc/bash_completion.d/proxmox-lxcri
  proxmox-lxcri completion zsh > /usr/share/zsh/vendor-completions/_proxmox-lxcri")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &Args, _program: &Program) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "proxmox-lxcri", &mut script);
    output::data(&script)?;
    Ok(ExitCode::SUCCESS)
}

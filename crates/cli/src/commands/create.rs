//! `create`.

pub(super) mod image;

use std::path::PathBuf;
use std::process::ExitCode;

use lxcri_core::runtime::CreateOptions;

use super::id;
use crate::failure::Failure;
use crate::program::Program;

/// Words of `create`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri create --bundle /srv/web --pid-file /run/web.pid web-1
  proxmox-lxcri start web-1")]
pub(crate) struct Args {
    #[command(flatten)]
    making: Making,
}

/// What `create` and `run` have in common.
#[derive(clap::Args, Debug)]
pub(crate) struct Making {
    /// Directory with config.json
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) bundle: PathBuf,
    /// Unix socket that takes the master of the container's terminal
    #[arg(long, value_name = "SOCKET")]
    pub(crate) console_socket: Option<PathBuf>,
    /// Write the container's pid to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Change the root with MS_MOVE instead of pivot_root(2), for a root on a ramdisk
    #[arg(long)]
    pub(crate) no_pivot: bool,
    /// Keep the session keyring of the caller
    #[arg(long)]
    pub(crate) no_new_keyring: bool,
    /// How many descriptors after 2 the container gets
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) preserve_fds: u32,
    /// Name for the container
    pub(crate) id: String,
}

impl Making {
    /// The same in the words of the library.
    pub(crate) fn options(&self, program: &Program) -> Result<CreateOptions, Failure> {
        Ok(CreateOptions {
            id: id(&self.id)?,
            bundle: self.bundle.clone(),
            pid_file: self.pid_file.clone(),
            console_socket: self.console_socket.clone(),
            console: None,
            preserve_fds: program.preserve(self.preserve_fds)?,
            no_pivot: self.no_pivot,
            no_new_keyring: self.no_new_keyring,
            backend: program.options.backend.clone(),
        })
    }
}

/// Makes the container.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let options = args.making.options(program)?;
    program.runtime()?.create(options)?;
    Ok(ExitCode::SUCCESS)
}

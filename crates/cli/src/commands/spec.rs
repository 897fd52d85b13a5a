//! `spec`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use lxcri_core::oci::template;

use crate::failure::Failure;
use crate::output;
use crate::program::Program;

/// Words of `spec`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri spec
  proxmox-lxcri spec --bundle /srv/web
  proxmox-lxcri spec --rootless    for users other than root")]
pub(crate) struct Args {
    /// Directory to write config.json to
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,
    /// For a container in a user namespace, run by whoever calls this
    #[arg(long)]
    rootless: bool,
}

/// Writes config.json, which must not exist yet.
pub(crate) fn run(args: &Args, _program: &Program) -> Result<ExitCode, Failure> {
    let user = args
        .rootless
        .then(|| (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()));
    let mut text = output::json_text(&template::spec(user, is_unified()), "\t")?;
    text.push(b'\n');
    let path = args.bundle.join("config.json");
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(&path).map_err(|error| {
            let exists = error.kind() == ErrorKind::AlreadyExists;
            let failure = Failure::io("write", &path)(error);
            if exists { failure.hint("remove it first, or name another --bundle") } else { failure }
        })?;
    file.write_all(&text).map_err(|error| {
        // Half a file is worse than none, and ours.
        let _ = std::fs::remove_file(&path);
        Failure::io("write", &path)(error)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Whether cgroups are v2 alone: then a container can have a cgroup namespace that shows its own
/// part of the tree.
fn is_unified() -> bool {
    std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

//! `image pull`.

use std::process::ExitCode;

use lxcri_images::document::Platform;

use crate::failure::Failure;
use crate::images::{Images, platform};
use crate::output;
use crate::program::Program;
use crate::progress;

/// Words of `image pull`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri image pull debian:13
  proxmox-lxcri image pull --platform linux/arm64 docker.io/library/nginx@sha256:…
  proxmox-lxcri image pull 127.0.0.1:5000/app:1

What was pulled in part stays, and the next pull goes on from there.")]
pub(crate) struct Args {
    /// Say nothing but the image's id
    #[arg(short, long)]
    quiet: bool,
    /// Take the image for this platform [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Names in registries
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Pulls, one after the other. Prints the manifest's digest of each.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let images = Images::new(program)?;
    let progress = progress::listener(args.quiet);
    for text in &args.images {
        let wanted = images.wanted(text)?;
        if !wanted.is_remote() {
            return Err(Failure::new(format!("{text}: not the name of an image in a registry"))
                .hint("`proxmox-lxcri image import` reads archives and directories"));
        }
        let hold = images.hold(&wanted)?;
        let platform = platform(args.platform.as_ref());
        let brought = images.bring(&hold, &wanted, None, &platform, progress.as_ref())?;
        output::line(&brought.manifest.digest.to_string())?;
    }
    images.sync()?;
    Ok(ExitCode::SUCCESS)
}

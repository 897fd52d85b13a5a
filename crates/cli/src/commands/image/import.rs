//! `image import`.

use std::process::ExitCode;

use lxcri_images::document::Platform;
use lxcri_images::reference::Name;

use crate::failure::Failure;
use crate::images::{Images, platform};
use crate::output;
use crate::program::Program;
use crate::progress;

/// Words of `image import`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri image import oci-archive:app.tar
  proxmox-lxcri image import docker-archive:saved.tar.gz --name app:2
  docker save app:2 | proxmox-lxcri image import docker-archive:-
  proxmox-lxcri image import rootfs:debian-13.tar.zst --name debian:13

An image without a name of its own is called localhost/FILE:latest.")]
pub(crate) struct Args {
    /// Say nothing but the image's digest
    #[arg(short, long)]
    quiet: bool,
    /// Take the image for this platform [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Name for the image
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,
    /// oci:DIR, oci-archive:FILE, docker-archive:FILE, dir:DIR or rootfs:FILE; `-` for standard
    /// input
    #[arg(value_name = "SOURCE")]
    source: String,
}

/// Imports. Prints the manifest's digest.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let images = Images::new(program)?;
    let progress = progress::listener(args.quiet);
    let wanted = images.wanted(&args.source)?;
    if wanted.is_remote() || wanted.source.is_none() {
        return Err(Failure::new(format!("{}: neither an archive nor a directory", args.source))
            .hint("oci-archive:FILE, docker-archive:FILE, oci:DIR, dir:DIR and rootfs:FILE are")
            .hint("`proxmox-lxcri image pull` brings images from registries"));
    }
    let name = args.name.as_ref().map(|name| images.naming(name)).transpose()?;
    let hold = images.hold(&wanted)?;
    let platform = platform(args.platform.as_ref());
    let brought = images.bring(&hold, &wanted, name.as_ref(), &platform, progress.as_ref())?;
    images.sync()?;
    output::line(&brought.manifest.digest.to_string())?;
    Ok(ExitCode::SUCCESS)
}

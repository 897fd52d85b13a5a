//! `image`: everything about images that are kept here.

mod export;
mod import;
mod inspect;
mod list;
mod prune;
mod pull;
mod push;
mod rm;
mod tag;
mod verify;

use std::process::ExitCode;

use crate::failure::Failure;
use crate::program::Program;

/// Words of `image`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri image pull debian:13
  proxmox-lxcri image list
  proxmox-lxcri image import oci-archive:app.tar
  proxmox-lxcri image prune --all")]
pub(crate) struct Args {
    #[command(subcommand)]
    deed: Deed,
}

/// What to do.
#[derive(clap::Subcommand, Debug)]
enum Deed {
    /// Bring an image from a registry, and unpack it
    Pull(pull::Args),
    /// Bring an image to a registry
    Push(push::Args),
    /// List the images that are here
    #[command(visible_alias = "ls")]
    List(list::Args),
    /// Print all about an image, as JSON
    Inspect(inspect::Args),
    /// Bring an image from an archive or directory, and unpack it
    Import(import::Args),
    /// Write images to an archive
    Export(export::Args),
    /// Give an image one more name
    Tag(tag::Args),
    /// Remove images
    Rm(rm::Args),
    /// Remove what no image and no container needs
    Prune(prune::Args),
    /// Read every blob and compare its digest
    Verify(verify::Args),
}

/// Does it.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    match &args.deed {
        Deed::Pull(args) => pull::run(args, program),
        Deed::Push(args) => push::run(args, program),
        Deed::List(args) => list::run(args, program),
        Deed::Inspect(args) => inspect::run(args, program),
        Deed::Import(args) => import::run(args, program),
        Deed::Export(args) => export::run(args, program),
        Deed::Tag(args) => tag::run(args, program),
        Deed::Rm(args) => rm::run(args, program),
        Deed::Prune(args) => prune::run(args, program),
        Deed::Verify(args) => verify::run(args, program),
    }
}

//! `image tag`.

use std::process::ExitCode;

use lxcri_images::reference::Name;
use lxcri_images::store::Purpose;

use crate::failure::Failure;
use crate::images::Images;
use crate::program::Program;

/// Words of `image tag`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri image tag debian:13 registry.example.com/base:1
  proxmox-lxcri image tag 3f2a91c0b7d4 app:2")]
pub(crate) struct Args {
    /// An image that is here
    image: String,
    /// Its new name; an image that has it loses it
    name: Name,
}

/// Names it.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let images = Images::new(program)?;
    let name = images.naming(&args.name)?;
    let hold = images.store()?.hold(Purpose::Tag)?;
    let image = images.find(&args.image)?;
    hold.tag(&name.to_string(), &image.manifest)?;
    Ok(ExitCode::SUCCESS)
}

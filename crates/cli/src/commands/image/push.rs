//! `image push`.

use std::process::ExitCode;

use lxcri_images::push::{Push, push};
use lxcri_images::reference::{Name, Reference};
use lxcri_images::store::{Image, Purpose};

use crate::failure::Failure;
use crate::images::Images;
use crate::output;
use crate::program::Program;
use crate::progress;

/// Words of `image push`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri image push registry.example.com/app:2
  proxmox-lxcri image push app:2 registry.example.com/team/app:2")]
pub(crate) struct Args {
    /// Say nothing but the digest
    #[arg(short, long)]
    quiet: bool,
    /// An image that is here
    image: String,
    /// Its name in the registry [default: the same]
    target: Option<Name>,
}

/// Pushes. Prints the manifest's digest.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let images = Images::new(program)?;
    let hold = images.store()?.hold(Purpose::Pull)?;
    let image = images.find(&args.image)?;
    let target = match &args.target {
        Some(target) => images.naming(target)?,
        None => own_name(&images.store_name(&args.image, &image), &image)?,
    };
    let client = images.client()?;
    let job = Push {
        reference: &target,
        registries: &images.registries,
        client: &client,
        uploads: images.transfers()?,
    };
    let progress = progress::listener(args.quiet);
    let digest = push(&hold, &image, &job, progress.as_ref())?;
    output::line(&digest.to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// The name by which an image was found here.
fn own_name(found: &str, image: &Image) -> Result<Reference, Failure> {
    if image.names.iter().any(|name| name == found) {
        return Ok(found.parse()?);
    }
    let mut failure =
        Failure::usage(format!("{found}: an id does not say which registry to push to"));
    for name in &image.names {
        failure = failure.hint(format!("proxmox-lxcri image push {name}"));
    }
    Err(failure)
}

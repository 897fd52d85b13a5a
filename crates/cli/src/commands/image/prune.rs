//! `image prune`.

use std::process::ExitCode;
use std::time::Duration;

use lxcri_images::store::PruneOptions;

use crate::failure::Failure;
use crate::images::Images;
use crate::output;
use crate::program::Program;
use crate::size;

/// Words of `image prune`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri image prune                          what has no name
  proxmox-lxcri image prune --all                    every image without a container
  proxmox-lxcri image prune --partials-older-than 0s beginnings of pulls, too")]
pub(crate) struct Args {
    /// Remove all images that no container was made of, not only those without a name
    #[arg(short, long)]
    all: bool,
    /// Remove what was pulled in part when nobody went on with it for so long
    #[arg(long, value_name = "TIME", default_value = "168h", value_parser = size::age)]
    partials_older_than: Duration,
}

/// Removes, and says how much it was.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let images = Images::new(program)?;
    let options = PruneOptions { all: args.all, partials_older_than: args.partials_older_than };
    let tidied = images.library.prune(options, &|| {
        output::note("waiting: images are being pulled, or containers made");
    })?;
    for name in &tidied.pruned.names {
        output::line(&format!("untagged {name}"))?;
    }
    for image in &tidied.pruned.images {
        output::line(&format!("removed {image}"))?;
    }
    output::line(&format!(
        "{} blobs, {} unpacked layers, {}",
        tidied.pruned.blobs.len() + tidied.pruned.partials,
        tidied.layers.len(),
        size::people(tidied.pruned.bytes),
    ))?;
    Ok(ExitCode::SUCCESS)
}

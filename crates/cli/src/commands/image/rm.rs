//! `image rm`.

use std::process::ExitCode;

use crate::failure::Failure;
use crate::images::Images;
use crate::output;
use crate::program::Program;

/// Words of `image rm`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri image rm app:1
  proxmox-lxcri image rm --force 3f2a91c0b7d4    with all its names")]
pub(crate) struct Args {
    /// Also where a container was made of it, which keeps what it needs, and with all names of an id
    #[arg(short, long)]
    force: bool,
    /// Names, digests, or the first digits of ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Removes. Prints names and images that are gone.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let images = Images::new(program)?;
    for text in &args.images {
        let image = images.find(text)?;
        // What stands in the store: what users type is shorter.
        let full = images.store_name(text, &image);
        let removed = images.library.remove_image(&full, args.force)?;
        for name in &removed.names {
            output::line(&format!("untagged {name}"))?;
        }
        if let Some(image) = &removed.image {
            output::line(&format!("removed {image}"))?;
        }
        if removed.is_postponed {
            output::note("another command uses the store: the next `image prune` removes the rest");
        }
    }
    Ok(ExitCode::SUCCESS)
}

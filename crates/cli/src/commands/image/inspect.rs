//! `image inspect`.

use std::process::ExitCode;

use serde_json::json;

use crate::failure::Failure;
use crate::images::Images;
use crate::output;
use crate::program::Program;

/// Words of `image inspect`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri image inspect debian:13
  proxmox-lxcri image inspect 3f2a91c0b7d4")]
pub(crate) struct Args {
    /// Names, digests, or the first digits of ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Prints a list, one entry for each image.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let images = Images::new(program)?;
    let layers = images.library.layers()?;
    let mut list = Vec::new();
    for text in &args.images {
        let image = images.find(text)?;
        let contents = image.contents?;
        let diff_ids = &contents.image_config.rootfs.diff_ids;
        let parts = contents.layers.iter().zip(diff_ids).map(|(layer, diff_id)| {
            json!({
                "digest": layer.digest,
                "mediaType": layer.media_type,
                "size": layer.size,
                "diffId": diff_id,
                "unpacked": layers.get(diff_id).map(|layer| layer.path),
            })
        });
        let parts: Vec<_> = parts.collect();
        list.push(json!({
            "id": contents.config.digest,
            "names": image.names,
            "manifest": image.manifest.digest,
            "mediaType": image.manifest.media_type,
            "index": image.index_digest,
            "size": contents.size,
            "layers": parts,
            "config": contents.image_config,
        }));
    }
    output::json(&list, "  ")?;
    Ok(ExitCode::SUCCESS)
}

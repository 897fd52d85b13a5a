//! `image export`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use lxcri_images::archive::{self, Item, export, export_to};
use lxcri_images::store::{Image, Purpose};

use crate::failure::Failure;
use crate::images::Images;
use crate::output;
use crate::program::Program;
use crate::progress;

/// Words of `image export`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri image export debian:13 --output debian.tar
  proxmox-lxcri image export --format docker app:2 | docker load

In the archive an image has the names that it was asked for by; none where that was an id.")]
pub(crate) struct Args {
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
    /// Form of the archive: oci-archive as Podman, skopeo and containerd read it, or docker-archive
    /// as every Docker reads it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The archive [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Names, digests, or the first digits of ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// `--format`.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Oci,
    Docker,
}

/// Exports.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let images = Images::new(program)?;
    let hold = images.store()?.hold(Purpose::Pull)?;
    let found: Vec<_> =
        args.images.iter().map(|text| images.find(text)).collect::<Result<_, _>>()?;
    let mut items: Vec<(&Image, Vec<String>)> = Vec::new();
    for (text, image) in args.images.iter().zip(&found) {
        let names = names(&images, text, image);
        match items.iter_mut().find(|(other, _)| other.manifest.digest == image.manifest.digest) {
            Some((_, all)) => all.extend(names),
            None => items.push((image, names)),
        }
    }
    let items = items.iter().map(|(image, names)| Item { manifest: &image.manifest, names });
    let items: Vec<_> = items.collect();
    let format = match args.format {
        Format::Oci => archive::Format::Oci,
        Format::Docker => archive::Format::Docker,
    };
    let progress = progress::listener(args.quiet);
    match args.output.as_ref().filter(|path| path.as_os_str() != "-") {
        Some(path) => export_to(&hold, &items, format, path, progress.as_ref())?,
        None if std::io::stdout().is_terminal() => {
            return Err(Failure::new("an archive is nothing for a terminal")
                .hint("--output FILE, or a pipe"));
        }
        None => {
            output::stream(|stdout| Ok(export(&hold, &items, format, stdout, progress.as_ref())?))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The name by which an image was asked for; by an id none, as with `docker save`.
fn names(images: &Images<'_>, text: &str, image: &Image) -> Vec<String> {
    let name = images.store_name(text, image);
    if image.names.contains(&name) { vec![name] } else { Vec::new() }
}

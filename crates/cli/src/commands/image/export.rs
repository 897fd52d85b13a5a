//! `image export`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use lxcri_images::archive::{self, Item, export, export_to};
use lxcri_images::store::Purpose;

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
  proxmox-lxcri image export --format docker app:2 | docker load")]
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
    let items: Vec<_> =
        found.iter().map(|image| Item { manifest: &image.manifest, names: &image.names }).collect();
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

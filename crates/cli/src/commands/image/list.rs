//! `image list`.

use std::process::ExitCode;

use lxcri_core::time::rfc3339_seconds;
use lxcri_images::reference::Reference;
use lxcri_images::store::Image;
use serde_json::{Value, json};

use crate::commands::Format;
use crate::failure::Failure;
use crate::images::Images;
use crate::output;
use crate::program::Program;
use crate::size;
use crate::table::Table;

/// Words of `image list`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri image list
  proxmox-lxcri image list --quiet          ids alone
  proxmox-lxcri image list --format json")]
pub(crate) struct Args {
    /// Print ids alone
    #[arg(short, long)]
    quiet: bool,
    /// Form of the list
    #[arg(short, long, value_enum, default_value_t)]
    format: Format,
}

/// Lists.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let images = Images::new(program)?.store()?.images()?;
    if args.quiet {
        for image in &images {
            output::line(image.id().short())?;
        }
    } else if args.format == Format::Json {
        let list: Vec<Value> = images.iter().map(document).collect();
        output::json(&list, "")?;
    } else {
        let mut table = Table::new(12, &["IMAGE", "ID", "PLATFORM", "CREATED", "SIZE"]);
        images.iter().for_each(|image| rows(image, &mut table));
        output::data(table.text().as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(image: &Image, table: &mut Table) {
    let (platform, created, bytes) = match &image.contents {
        Ok(contents) => (
            contents.platform.to_string(),
            contents.created.map(rfc3339_seconds).unwrap_or_default(),
            size::people(contents.size),
        ),
        Err(_) => ("damaged".to_owned(), String::new(), String::new()),
    };
    let familiar = |name: &String| {
        name.parse::<Reference>().map_or_else(|_| name.clone(), |reference| reference.familiar())
    };
    let mut names: Vec<String> = image.names.iter().map(familiar).collect();
    if names.is_empty() {
        names.push("<none>".to_owned());
    }
    for name in names {
        let id = image.id().short().to_owned();
        table.push([name, id, platform.clone(), created.clone(), bytes.clone()]);
    }
}

/// One image of `--format json`.
fn document(image: &Image) -> Value {
    let mut document = json!({
        "id": image.id().to_string(),
        "names": image.names,
        "manifest": image.manifest.digest.to_string(),
    });
    match &image.contents {
        Ok(contents) => {
            document["platform"] = contents.platform.to_string().into();
            document["created"] = contents.created.map(rfc3339_seconds).into();
            document["size"] = contents.size.into();
        }
        Err(error) => document["damage"] = error.to_string().into(),
    }
    document
}

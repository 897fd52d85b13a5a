//! `login`.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use lxcri_images::registry::Login;
use lxcri_images::registry::credentials::Secret;

use crate::failure::Failure;
use crate::images::Images;
use crate::output;
use crate::program::Program;

/// The most bytes of a password.
const LONGEST: u64 = 64 << 10;

/// Words of `login`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri login --username ada --password-file /root/token registry.example.com
  pass show registry | proxmox-lxcri login --username ada --password-stdin registry.example.com

A password is never taken from the command line: every user of the machine could read it.")]
pub(crate) struct Args {
    /// Name at the registry
    #[arg(short, long, value_name = "NAME")]
    username: String,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Read the password from this file
    #[arg(long, value_name = "FILE", conflicts_with = "password_stdin")]
    password_file: Option<PathBuf>,
    /// The registry [default: docker.io]
    #[arg(value_name = "HOST")]
    registry: Option<String>,
}

/// Has the registry check name and password, and keeps them.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let images = Images::new(program)?;
    let secret = secret(args)?;
    let host = args.registry.as_deref().unwrap_or(lxcri_images::reference::DOCKER_IO);
    let insecure = images.is_insecure(host)?;
    let login = images.client()?.login(host, insecure, &args.username, &secret)?;
    if login == Login::Verified {
        output::note(&format!("{host} takes the password"));
    }
    Ok(ExitCode::SUCCESS)
}

fn secret(args: &Args) -> Result<Secret, Failure> {
    let mut text = String::new();
    match &args.password_file {
        Some(path) => std::fs::File::open(path)
            .and_then(|file| file.take(LONGEST).read_to_string(&mut text))
            .map_err(Failure::io("read", path))?,
        None if args.password_stdin => std::io::stdin()
            .take(LONGEST)
            .read_to_string(&mut text)
            .map_err(Failure::of("read the password"))?,
        None => {
            return Err(Failure::new("no password")
                .hint("--password-stdin reads it from standard input, --password-file FILE"));
        }
    };
    // The line's end is the editor's, not the password's.
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    if text.is_empty() {
        return Err(Failure::new("the password is empty"));
    }
    Ok(Secret::new(text))
}

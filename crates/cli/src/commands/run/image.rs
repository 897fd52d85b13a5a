//! `run IMAGE`.

use std::path::Path;
use std::process::ExitCode;

use lxcri_core::backend::Container;
use lxcri_core::runtime::{CreateOptions, Runtime};

use super::begin;
use crate::commands::create::image::{Asked, ImageContainer};
use crate::failure::Failure;
use crate::foreground::Foreground;
use crate::program::Program;
use crate::terminal::Console;

/// Exit codes of a program that could not be started, as Docker has them.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Words of `run IMAGE`.
#[derive(clap::Args, Debug)]
#[command(override_usage = "\
proxmox-lxcri run [OPTIONS] IMAGE [COMMAND…]
       proxmox-lxcri run [--bundle DIR] [--detach] [--keep] [--pid-file FILE] ID")]
#[command(after_help = "\
Examples:
  proxmox-lxcri run --rm debian:13 cat /etc/os-release
  proxmox-lxcri run --rm -it alpine sh
  proxmox-lxcri run --rm oci-archive:app.tar echo hi
  proxmox-lxcri run --name web --network host -v web:/usr/share/nginx/html nginx
  proxmox-lxcri run --bundle /srv/web web-1     a bundle, as with runc

IMAGE is a name in a registry, or oci:DIR, oci-archive:FILE, docker-archive:FILE, dir:DIR, rootfs:FILE.
Exits with the program's code; 125 where it was not started, 126 where it cannot be executed, 127 where
it is not there, 128 and the signal's number where a signal ended it.")]
pub(crate) struct Args {
    #[command(flatten)]
    asked: Asked,
    /// The image and the program's words
    #[arg(hide = true, trailing_var_arg = true)]
    words: Vec<String>,
}

/// Makes a container of an image and runs it in the foreground.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let runtime = program.runtime()?;
    let (image, words) = args.asked.split(&args.words)?;
    let container = ImageContainer::enter(&args.asked, image, words, program, &runtime)?;
    let image = container.bring(&args.asked)?;
    // From here on signals are the container's.
    let foreground = Foreground::new(true)?;
    let (options, claim) = container.make(image, &args.asked, program)?;
    let (created, console) = match create(&runtime, options, &container, args) {
        Ok(created) => created,
        Err(failure) => {
            container.clear(claim);
            return Err(named(failure));
        }
    };
    let standing = claim.release();
    let begun = begin(&runtime, &created, console.as_ref()).map_err(named);
    // A container that has run keeps what it wrote, whatever becomes of us.
    let goes = begun.is_err() || args.asked.form.way.rm;
    let outcome = begun.and_then(|(target, relay)| foreground.wait(&target, relay));
    if goes {
        let ended = container.end(standing, &runtime);
        match &outcome {
            Ok(_) => ended?,
            Err(_) => {
                if let Err(failure) = ended {
                    log::warn!("{}: could not be removed: {}", container.id(), failure.message());
                }
            }
        }
    }
    outcome
}

/// Has the backend make the container, with a console where it wants one.
fn create(
    runtime: &Runtime<'_>,
    mut options: CreateOptions,
    container: &ImageContainer<'_>,
    args: &Args,
) -> Result<(Container, Option<Console>), Failure> {
    if !args.asked.form.way.interactive {
        close_input()?;
    }
    let mut console = None;
    if container.wants_terminal() {
        let (ours, theirs) = Console::pair()?;
        console = Some(ours);
        options.console = Some(theirs);
    }
    Ok((runtime.create(options)?, console))
}

/// Without `--interactive` the program reads nothing, as with Docker. Not earlier: an image may come
/// from standard input.
fn close_input() -> Result<(), Failure> {
    let path = Path::new("/dev/null");
    let null = std::fs::File::open(path).map_err(Failure::io("open", path))?;
    rustix::stdio::dup2_stdin(null).map_err(Failure::of("close standard input"))
}

/// Gives a failure the exit code that says what was wrong with the program. The texts are contract
/// (docs/reference/errors.md).
fn named(failure: Failure) -> Failure {
    // `exec: "PROGRAM": REASON`, or without the program.
    let Some((_, reason)) = failure.message().split_once("exec: ") else { return failure };
    let ends = |words: &[&str]| words.iter().any(|word| reason.ends_with(word));
    let code = if ends(&["executable file not found in $PATH", "no such file or directory"]) {
        NOT_FOUND
    } else if ends(&["permission denied", "is a directory"]) {
        NOT_EXECUTABLE
    } else {
        return failure;
    };
    failure.code(code)
}

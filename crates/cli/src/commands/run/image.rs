//! `run IMAGE`.

use std::path::Path;
use std::process::ExitCode;

use lxcri_core::runtime::Runtime;

use super::{live, remove};
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
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Makes a container of an image and runs it in the foreground.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let runtime = program.runtime()?;
    let (image, words) = args.asked.split(&args.words)?;
    let container = ImageContainer::enter(&args.asked, image, words, program, &runtime)?;
    let foreground = Foreground::new(true)?;
    let mut options = container.make(&args.asked, program)?;
    if !args.asked.form.way.interactive
        && let Err(failure) = close_input()
    {
        container.remove();
        return Err(failure);
    }
    let mut console = None;
    if container.wants_terminal() {
        let (ours, theirs) = Console::pair()?;
        console = Some(ours);
        options.console = Some(theirs);
    }
    let created = match runtime.create(options) {
        Ok(created) => created,
        Err(error) => {
            container.remove();
            return Err(named(error.into()));
        }
    };
    let outcome = live(&runtime, &created, &foreground, console.as_ref()).map_err(named);
    if outcome.is_err() {
        remove(&runtime, created.id(), None);
        container.remove();
    } else if args.asked.form.way.rm {
        end(&runtime, &container)?;
    }
    outcome
}

/// Without `--interactive` the program reads nothing, as with Docker. Not earlier: an image may come
/// from standard input.
fn close_input() -> Result<(), Failure> {
    let path = Path::new("/dev/null");
    let null = std::fs::File::open(path).map_err(Failure::io("open", path))?;
    rustix::stdio::dup2_stdin(null).map_err(Failure::of("close standard input"))
}

/// Removes a container that has ended.
fn end(runtime: &Runtime<'_>, container: &ImageContainer<'_>) -> Result<(), Failure> {
    runtime.delete(container.id(), true)?;
    container.remove_or_fail()
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

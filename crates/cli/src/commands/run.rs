//! `run`.

pub(super) mod image;

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use lxcri_core::backend::{Container, Finish};
use lxcri_core::id::ContainerId;
use lxcri_core::runtime::{Runtime, remove_pid_file};
use lxcri_linux::process::Process;
use serde::Deserialize;

use super::create::Making;
use crate::failure::Failure;
use crate::foreground::{Foreground, Target};
use crate::program::Program;
use crate::terminal::{Console, Relay};

/// Words of `run`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri run --bundle /srv/web web-1
  proxmox-lxcri run --detach --bundle /srv/web --pid-file /run/web.pid web-1
  proxmox-lxcri run --keep web-1           the bundle is the working directory")]
pub(crate) struct Args {
    #[command(flatten)]
    making: Making,
    /// Do not wait for the container to end
    #[arg(short, long)]
    detach: bool,
    /// Do not remove the container when it has ended
    #[arg(long)]
    keep: bool,
    /// Do not take in processes whose parent has ended
    #[arg(long)]
    no_subreaper: bool,
}

/// Makes the container and runs it, in the foreground or not.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    if args.detach { detached(args, program) } else { foreground(args, program) }
}

fn detached(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let runtime = program.runtime()?;
    let container = runtime.create(args.making.options(program)?)?;
    start(&runtime, container.id()).inspect_err(|_| remove_made(&runtime, &container, args))?;
    Ok(ExitCode::SUCCESS)
}

fn foreground(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let runtime = program.runtime()?;
    let mut options = args.making.options(program)?;
    let foreground = Foreground::new(!args.no_subreaper)?;
    let mut console = None;
    if options.console_socket.is_none() && wants_terminal(&options.bundle.join("config.json")) {
        let (ours, theirs) = Console::pair()?;
        console = Some(ours);
        options.console = Some(theirs);
    }
    let container = runtime.create(options)?;
    let outcome = live(&runtime, &container, &foreground, console.as_ref());
    if outcome.is_err() {
        remove_made(&runtime, &container, args);
    } else if !args.keep {
        runtime.delete(container.id(), true)?;
    }
    outcome
}

/// From "created" to the end.
fn live(
    runtime: &Runtime<'_>,
    container: &Container,
    foreground: &Foreground,
    console: Option<&Console>,
) -> Result<ExitCode, Failure> {
    let (target, relay) = begin(runtime, container, console)?;
    foreground.wait(&target, relay)
}

/// From "created" to "running".
fn begin(
    runtime: &Runtime<'_>,
    container: &Container,
    console: Option<&Console>,
) -> Result<(Target, Option<Relay<'static>>), Failure> {
    let id = container.id();
    let process = container
        .record
        .process
        .ok_or_else(|| Failure::new(format!("{id}: the backend tells no pid to wait for")))?;
    let fd = process.open().map_err(Failure::of("open the container's init"))?;
    let target = Target { pid: process.pid, fd };
    let relay = match console {
        Some(console) => {
            Some(Relay::new(console.receive()?, rustix::stdio::stdin(), rustix::stdio::stdout())?)
        }
        None => None,
    };
    start(runtime, id)?;
    Ok((target, relay))
}

/// Runs the user's program. What another program has to do for it is done by a child: ours stays.
fn start(runtime: &Runtime<'_>, id: &ContainerId) -> Result<(), Failure> {
    let Finish::Execute(mut command) = runtime.start(id)? else { return Ok(()) };
    let status =
        command.status().map_err(Failure::io("execute", command.get_program().as_ref()))?;
    if status.success() {
        return Ok(());
    }
    let program = Path::new(command.get_program()).display().to_string();
    Err(Failure::new(format!("{id}: {program} could not start the container ({status})")))
}

/// Clears away what a failure left. The failure itself is what the user hears of.
fn remove_made(runtime: &Runtime<'_>, container: &Container, args: &Args) {
    let file = args.making.pid_file.as_deref();
    remove(runtime, container.id(), file.zip(container.record.process));
}

/// The same, with the file that init's pid was written to.
fn remove(runtime: &Runtime<'_>, id: &ContainerId, pid_file: Option<(&Path, Process)>) {
    if let Some((path, process)) = pid_file
        && let Err(error) = remove_pid_file(path, process.pid)
    {
        log::warn!("{id}: {error}");
    }
    if let Err(error) = runtime.delete(id, true) {
        log::warn!("{id}: could not be removed: {}", lxcri_linux::chain(&error));
    }
}

/// The most of config.json that is looked at, in bytes.
const CONFIG_MAX: u64 = 16 << 20;

/// Whether the bundle asks for a terminal. What cannot be read says nothing here: `create` reads it
/// again and tells what is wrong.
fn wants_terminal(config: &Path) -> bool {
    // Anything but a file is refused, with its reason, when the container is made.
    if !std::fs::metadata(config).is_ok_and(|metadata| metadata.is_file()) {
        return false;
    }
    let mut text = Vec::new();
    let read =
        std::fs::File::open(config).and_then(|file| file.take(CONFIG_MAX).read_to_end(&mut text));
    read.is_ok() && asks_for_terminal(&text)
}

fn asks_for_terminal(config: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Config {
        process: Option<Process>,
    }
    #[derive(Deserialize)]
    struct Process {
        #[serde(default)]
        terminal: bool,
    }
    serde_json::from_slice::<Config>(config)
        .is_ok_and(|config| config.process.is_some_and(|process| process.terminal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_a_terminal() {
        let cases = [
            (r#"{"process": {"terminal": true, "args": ["sh"]}, "mounts": []}"#, true),
            (r#"{"process": {"terminal": false}}"#, false),
            (r#"{"process": {}}"#, false),
            (r#"{"process": null}"#, false),
            (r#"{"terminal": true}"#, false),
            (r#"{"process": {"terminal": "yes"}}"#, false),
            ("", false),
        ];
        for (text, wanted) in cases {
            assert_eq!(asks_for_terminal(text.as_bytes()), wanted, "{text}");
        }
    }
}

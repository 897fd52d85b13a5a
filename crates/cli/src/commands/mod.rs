//! The table of commands. Each has a file of its own with its words (`Args`) and what it does
//! (`run`).

mod backends;
mod completion;
mod config;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod image;
mod kill;
mod list;
mod login;
mod logout;
mod pause;
mod ps;
mod resume;
mod run;
mod spec;
mod start;
mod state;
mod update;
mod version;

use std::process::ExitCode;

use clap::{ArgMatches, Command, FromArgMatches};
use lxcri_core::id::ContainerId;

use crate::failure::Failure;
use crate::program::{Program, Reading};

/// Shown below the list of commands.
pub(crate) const EXAMPLES: &str = "\
Examples:
  proxmox-lxcri run --rm -it debian:13 bash     run an image
  proxmox-lxcri spec --bundle /srv/web          write a config.json to start from
  proxmox-lxcri run --bundle /srv/web web-1     run it until it ends
  proxmox-lxcri exec --tty web-1 sh             look around inside
  proxmox-lxcri --backend crun run web-2        let another runtime run it
  proxmox-lxcri help exec                       all about one command";

/// One command.
#[derive(Debug)]
pub(crate) struct Verb {
    /// What users type.
    pub(crate) name: &'static str,
    /// What it does, in one line.
    pub(crate) about: &'static str,
    /// Adds what it takes.
    pub(crate) define: fn(Command) -> Command,
    /// Does it.
    pub(crate) run: fn(&ArgMatches, &Program) -> Result<ExitCode, Failure>,
    /// What it makes of a broken configuration.
    pub(crate) reading: Reading,
    /// The exit code of its failures.
    pub(crate) failure: u8,
}

macro_rules! verb {
    ($name:ident, $reading:ident, $failure:literal, $about:literal) => {
        verb!($name in $name, $reading, $failure, $about)
    };
    ($name:ident in $file:path, $reading:ident, $failure:literal, $about:literal) => {{
        use $file as file;
        Verb {
            name: stringify!($name),
            about: $about,
            define: |command| {
                <file::Args as clap::Args>::augment_args(command).about($about).long_about(None)
            },
            run: |matches, program| {
                let args = file::Args::from_arg_matches(matches)
                    .map_err(|error| Failure::new(error.to_string()))?;
                file::run(&args, program)
            },
            reading: Reading::$reading,
            failure: $failure,
        }
    }};
}

/// The commands that take an image in place of a bundle; [`crate::args`] tells which form is meant.
pub(crate) static IMAGE_VERBS: &[Verb] = &[
    verb!(create in create::image, Strict, 1, "Make a container of an image; its program waits for start"),
    verb!(run in run::image, Strict, 125, "Make a container of an image or a bundle, and run it"),
];

/// `--format`.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Table,
    Json,
}

/// Every command, in the order of the help. `exec` fails with 255 before its process runs, as with
/// runc: 1 could be the process's own code.
pub(crate) static VERBS: &[Verb] = &[
    verb!(create, Strict, 1, "Make a container of a bundle; its program waits for start"),
    verb!(start, Strict, 1, "Run the program of a container that was created"),
    verb!(run, Strict, 1, "Make a container of an image or a bundle, and run it"),
    verb!(state, Lenient, 1, "Print the state of a container as JSON"),
    verb!(kill, Lenient, 1, "Send a signal to a container"),
    verb!(delete, Lenient, 1, "Remove a container that has ended"),
    verb!(exec, Strict, 255, "Run one more process in a container"),
    verb!(ps, Strict, 1, "Show the processes of a container"),
    verb!(list, Lenient, 1, "List all containers"),
    verb!(pause, Strict, 1, "Freeze all processes of a container"),
    verb!(resume, Strict, 1, "Thaw the processes of a paused container"),
    verb!(update, Strict, 1, "Change the resources of a container"),
    verb!(events, Strict, 1, "Print what a container uses, as JSON lines"),
    verb!(spec, Own, 1, "Write a config.json to start from"),
    verb!(features, Strict, 1, "Print what this runtime can do, as JSON"),
    verb!(image, Strict, 1, "Pull, push, list, import, export, remove images"),
    verb!(login, Strict, 1, "Keep name and password for a registry"),
    verb!(logout, Strict, 1, "Forget name and password of a registry"),
    verb!(backends, Strict, 1, "List the backends and what each can do here"),
    verb!(config, Own, 1, "Show or check the configuration"),
    verb!(completion, Own, 1, "Print a shell's completion script"),
    verb!(version, Own, 1, "Print the version"),
];

/// Reads a container id. Not the command line's business: clients expect exit code 1 and the
/// message in the log.
fn id(text: &str) -> Result<ContainerId, Failure> {
    text.parse().map_err(|error| Failure::from(lxcri_core::Error::Id(error)))
}

/// Leaves the rest of a verb to the program that a room names: ours becomes that one.
fn finish(finish: lxcri_core::backend::Finish) -> Result<ExitCode, Failure> {
    use std::os::unix::process::CommandExt;
    match finish {
        lxcri_core::backend::Finish::Done => Ok(ExitCode::SUCCESS),
        lxcri_core::backend::Finish::Execute(mut command) => {
            let error = command.exec();
            Err(Failure::io("execute", command.get_program().as_ref())(error))
        }
    }
}

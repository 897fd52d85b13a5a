//! The words of the command line: options that stand before the command, and which command it is.
//! Each command's own options stand in its file below [`crate::commands`].

// `run` and `create` do not take an image yet.
#[allow(dead_code)]
pub(crate) mod image_form;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueEnum};
use lxcri_core::config::Override;

use crate::commands::{self, VERBS, Verb};

/// What `--version` prints after the program's name. Docker and Podman read these lines as runc
/// writes them: `NAME version V`, then `spec: V`.
pub(crate) const VERSION: &str = concat!("version ", env!("CARGO_PKG_VERSION"), "\nspec: 1.3.0");

/// Options that stand before the command, as with runc.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Directory of the containers' state [default: /run/proxmox-lxcri]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Append the log to a file; standard error then has errors alone
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Form of the log file's lines
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"])]
    pub(crate) log_format: Option<String>,
    /// Least important messages that are logged
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<Level>,
    /// Log everything that helps to find a mistake
    #[arg(long)]
    pub(crate) debug: bool,
    /// Make cgroups through systemd; `cgroupsPath` is then `slice:prefix:name`
    #[arg(long)]
    pub(crate) systemd_cgroup: bool,
    /// Whether we lack root's rights: the native backend then refuses, crun goes on without cgroups
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub(crate) rootless: Rootless,
    /// Read this configuration file and no other
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What runs the container; `proxmox-lxcri backends` lists them
    #[arg(long, alias = "runtime", value_name = "NAME", value_parser = backend_names())]
    pub(crate) backend: Option<String>,
}

/// `--log-level`.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub(crate) enum Level {
    Error,
    #[value(alias = "warning")]
    Warn,
    Info,
    Debug,
    Trace,
}

/// `--rootless`; `auto` is true for everybody but the machine's root.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rootless {
    True,
    False,
    #[default]
    Auto,
}

fn backend_names() -> PossibleValuesParser {
    PossibleValuesParser::new(lxcri_backends::ROOMS.iter().map(|room| room.name))
}

impl Options {
    /// The keys of the configuration that options set. `--log-level` says more than `--debug`.
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let level = self.log_level.and_then(|level| level.to_possible_value());
        let level = level.map(|level| OsString::from(level.get_name()));
        let entries = [
            ("--root", "runtime", "root", self.root.clone().map(OsString::from)),
            ("--log", "logging", "file", self.log.clone().map(OsString::from)),
            ("--log-format", "logging", "format", self.log_format.clone().map(OsString::from)),
            ("--debug", "logging", "level", self.debug.then(|| "debug".into())),
            ("--log-level", "logging", "level", level),
        ];
        entries
            .into_iter()
            .filter_map(|(flag, section, key, value)| {
                value.map(|value| Override { flag, section, key, value })
            })
            .collect()
    }
}

/// One call of the program.
#[derive(Debug)]
pub(crate) struct Call {
    /// Options before the command.
    pub(crate) options: Options,
    /// The command.
    pub(crate) verb: &'static Verb,
    /// Its own words.
    pub(crate) matches: ArgMatches,
}

impl Call {
    /// Reads argv, from the program's name on.
    ///
    /// # Errors
    /// What clap has to say: a mistake of the user, or the help that was asked for.
    pub(crate) fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let matches = command().try_get_matches_from(argv)?;
        let options = Options::from_arg_matches(&matches)?;
        let (name, own) = matches.subcommand().ok_or_else(missing)?;
        let verb = VERBS.iter().find(|verb| verb.name == name).ok_or_else(missing)?;
        Ok(Self { options, verb, matches: own.clone() })
    }
}

fn missing() -> clap::Error {
    command().error(clap::error::ErrorKind::MissingSubcommand, "a command is missing")
}

/// The whole tree of words. What a command takes is built only when that command is used.
pub(crate) fn command() -> Command {
    let version = Arg::new("version")
        .short('v')
        .short_alias('V')
        .long("version")
        .action(ArgAction::Version)
        .help("Print the version");
    let command = Options::augment_args(Command::new("proxmox-lxcri"))
        .about("Runs OCI containers, called as runc is, on the backend of your choice")
        .long_about(None)
        .version(VERSION)
        .disable_version_flag(true)
        .arg(version)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand_value_name("COMMAND")
        .subcommand_help_heading("Commands")
        .after_help(commands::EXAMPLES);
    VERBS.iter().fold(command, |command, verb| {
        command.subcommand(Command::new(verb.name).about(verb.about).defer(verb.define))
    })
}

#[cfg(test)]
mod tests;

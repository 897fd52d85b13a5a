//! `exec`.

use std::path::PathBuf;
use std::process::ExitCode;

use lxcri_core::Error;
use lxcri_core::backend::Running;
use lxcri_core::oci::{Capabilities, ConsoleSize, Process};
use lxcri_core::runtime::ExecOptions;

use super::id;
use crate::failure::Failure;
use crate::foreground::{Foreground, Target};
use crate::json_file;
use crate::program::Program;
use crate::terminal::{self, Console, Relay};

/// Words of `exec`.
#[derive(clap::Args, Debug)]
#[command(
    override_usage = "proxmox-lxcri exec [OPTIONS] <ID> <COMMAND> [ARGUMENTS]...\n       \
                      proxmox-lxcri exec [OPTIONS] --process <FILE> <ID>",
    after_help = "\
Options stand before the id; what follows the id goes to the container as it is.

Examples:
  proxmox-lxcri exec web-1 ls -l /
  proxmox-lxcri exec --tty --env TERM=xterm web-1 sh
  proxmox-lxcri exec --user 1000:1000 --cwd /srv web-1 id
  proxmox-lxcri exec --process process.json --detach --pid-file /run/probe.pid web-1"
)]
pub(crate) struct Args {
    /// Unix socket that takes the master of the process's terminal
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// Give the process a terminal
    #[arg(short, long)]
    tty: bool,
    /// Read the process from a file, as in config.json; nothing else may describe it then
    #[arg(short, long, value_name = "FILE", conflicts_with = "described")]
    process: Option<PathBuf>,
    /// Do not wait for the process to end
    #[arg(short, long)]
    detach: bool,
    /// Write the pid of the process to this file
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// How many descriptors after 2 the process gets
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,
    /// Do it in a paused container, too; the process then waits for resume
    #[arg(long)]
    ignore_paused: bool,
    #[command(flatten)]
    described: Described,
    /// The container, then the program and its arguments
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_name = "ID COMMAND")]
    words: Vec<String>,
}

/// A process in words: the container's own, but for these.
#[derive(clap::Args, Debug, Default)]
#[group(id = "described", multiple = true)]
struct Described {
    /// Working directory in the container
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Set an environment variable
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<String>,
    /// User id, and group id, to run as
    #[arg(short, long, value_name = "UID[:GID]", value_parser = user)]
    user: Option<(u32, Option<u32>)>,
    /// One more group id
    #[arg(short = 'g', long, value_name = "GID")]
    additional_gids: Vec<u32>,
    /// AppArmor profile
    #[arg(long, value_name = "PROFILE")]
    apparmor: Option<String>,
    /// Let the process gain no rights by executing programs
    #[arg(long)]
    no_new_privs: bool,
    /// Add a capability, such as CAP_NET_ADMIN
    #[arg(short, long, value_name = "CAP")]
    cap: Vec<String>,
}

fn variable(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(text.to_owned()),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn user(text: &str) -> Result<(u32, Option<u32>), String> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse::<u32>().ok()).flatten();
        number.ok_or_else(|| format!("{text:?} is no id: a number is needed"))
    };
    match text.split_once(':') {
        Some((uid, gid)) => Ok((number(uid)?, Some(number(gid)?))),
        None => Ok((number(text)?, None)),
    }
}

impl Described {
    /// The container's process with everything that was said. As with runc, groups and variables
    /// are added, and a terminal is had only by asking for it.
    fn apply(&self, mut process: Process, args: Vec<String>, tty: bool) -> Process {
        process.args = args;
        process.terminal = tty;
        process.console_size = None;
        for variable in &self.env {
            set_variable(&mut process.env, variable.clone());
        }
        process.cwd = self.cwd.clone().unwrap_or(process.cwd);
        process.apparmor_profile = self.apparmor.clone().or(process.apparmor_profile);
        process.no_new_privileges |= self.no_new_privs;
        if let Some((uid, gid)) = self.user {
            process.user.uid = uid;
            process.user.gid = gid.unwrap_or(process.user.gid);
        }
        process.user.additional_gids.extend(&self.additional_gids);
        if !self.cap.is_empty() {
            add_capabilities(process.capabilities.get_or_insert_default(), &self.cap);
        }
        process
    }
}

/// Of two variables of one name getenv(3) finds the first: the new one takes the old one's place.
fn set_variable(environment: &mut Vec<String>, variable: String) {
    let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    let wanted = name(&variable);
    match environment.iter_mut().find(|entry| name(entry) == wanted) {
        Some(entry) => *entry = variable,
        None => environment.push(variable),
    }
}

/// As runc since 1.1.2 (CVE-2022-29162): never inheritable, and ambient only where the container
/// lets it be inherited already, which the kernel demands.
fn add_capabilities(sets: &mut Capabilities, names: &[String]) {
    let add = |set: &mut Vec<String>, name: &String| {
        if !set.contains(name) {
            set.push(name.clone());
        }
    };
    for name in names {
        add(&mut sets.bounding, name);
        add(&mut sets.effective, name);
        add(&mut sets.permitted, name);
        if sets.inheritable.contains(name) {
            add(&mut sets.ambient, name);
        }
    }
}

/// Runs the process, in the foreground or not.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let (name, command) =
        args.words.split_first().ok_or_else(|| Failure::new("an id is missing"))?;
    let (id, command) = (id(name)?, command.to_vec());
    let from_file: Option<Process> = args.process.as_deref().map(json_file::read).transpose()?;
    let tty = args.tty || from_file.as_ref().is_some_and(|process| process.terminal);
    check(args, from_file.is_some(), tty)?;
    let runtime = program.runtime()?;
    let foreground = (!args.detach).then(|| Foreground::new(true)).transpose()?;
    let (console, theirs) = match (&foreground, tty, &args.console_socket) {
        (Some(_), true, None) => {
            Console::pair().map(|(ours, theirs)| (Some(ours), Some(theirs)))?
        }
        _ => (None, None),
    };
    let options = ExecOptions {
        pid_file: args.pid_file.clone(),
        console_socket: args.console_socket.clone(),
        console: theirs,
        preserve_fds: program.preserve(args.preserve_fds)?,
        ignore_paused: args.ignore_paused,
    };
    let sized = console.is_some();
    let build = |own: Process| {
        let mut process = match from_file {
            Some(process) => Process { terminal: tty, ..process },
            None => args.described.apply(own, command, tty),
        };
        if sized && process.console_size.is_none() {
            process.console_size = console_size();
        }
        require_program(&process)?;
        Ok(process)
    };
    let running = runtime.exec(&id, build, options)?;
    match foreground {
        Some(foreground) => wait(&foreground, running, console.as_ref()),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// What the words cannot mean together; the rules of terminals are runc's.
fn check(args: &Args, from_file: bool, tty: bool) -> Result<(), Failure> {
    if from_file && args.words.len() > 1 {
        return Err(Failure::new("a command has no meaning with --process: the file names it"));
    }
    if !from_file && args.words.len() < 2 {
        return Err(Failure::new("exec needs a command after the id")
            .hint("such as `proxmox-lxcri exec ID sh`"));
    }
    if args.console_socket.is_some() && !tty {
        return Err(Failure::new("cannot use --console-socket: the process has no terminal")
            .hint("--tty gives it one"));
    }
    if args.detach && tty && args.console_socket.is_none() {
        return Err(Failure::new("cannot allocate a terminal without --console-socket: --detach"));
    }
    Ok(())
}

fn require_program(process: &Process) -> Result<(), Error> {
    if process.args.is_empty() {
        return Err(Error::Invalid("process.args must name a program".to_owned()));
    }
    Ok(())
}

fn console_size() -> Option<ConsoleSize> {
    terminal::size().map(|size| ConsoleSize { height: size.ws_row, width: size.ws_col })
}

fn wait(
    foreground: &Foreground,
    running: Running,
    console: Option<&Console>,
) -> Result<ExitCode, Failure> {
    let target = Target { pid: running.process.pid, fd: Some(running.fd) };
    let keyboard = rustix::stdio::stdin();
    let relay = console
        .map(|console| Relay::new(console.receive()?, keyboard, rustix::stdio::stdout()))
        .transpose();
    let relay = relay.inspect_err(|_| {
        // A process whose terminal nobody serves would wait for ever.
        let killed = target.fd.as_ref().map(|fd| fd.signal(9));
        log::debug!("killed pid {}: {killed:?}", target.pid);
    })?;
    foreground.wait(&target, relay)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_process_is_the_container_s_but_for_what_was_said() {
        let mut own = Process { terminal: true, cwd: "/own".into(), ..Process::default() };
        own.env = strings(&["A=1", "B=2"]);
        own.user.gid = 5;
        own.user.additional_gids = vec![7];
        let described = Described {
            env: strings(&["B=3", "C==", "C=4"]),
            user: Some((1000, None)),
            additional_gids: vec![8],
            ..Described::default()
        };
        let process = described.apply(own, strings(&["id"]), false);
        assert!(!process.terminal && !process.no_new_privileges);
        assert_eq!(process.env, ["A=1", "B=3", "C=4"]);
        assert_eq!((process.user.uid, process.user.gid), (1000, 5));
        assert_eq!(process.user.additional_gids, [7, 8]);
        assert_eq!(process.cwd, PathBuf::from("/own"));
    }

    #[test]
    fn capabilities_are_never_made_inheritable() {
        let mut sets = Capabilities { inheritable: strings(&["CAP_KILL"]), ..Default::default() };
        sets.bounding = strings(&["CAP_KILL"]);
        add_capabilities(&mut sets, &strings(&["CAP_KILL", "CAP_CHOWN"]));
        assert_eq!(sets.bounding, ["CAP_KILL", "CAP_CHOWN"]);
        assert_eq!(sets.effective, ["CAP_KILL", "CAP_CHOWN"]);
        assert_eq!(sets.permitted, ["CAP_KILL", "CAP_CHOWN"]);
        assert_eq!(sets.inheritable, ["CAP_KILL"]);
        assert_eq!(sets.ambient, ["CAP_KILL"]);
    }

    #[test]
    fn users_are_numbers() {
        assert_eq!(user("0"), Ok((0, None)));
        assert_eq!(user("1000:4294967295"), Ok((1000, Some(u32::MAX))));
        for text in ["", "root", ":", "1:", ":1", "-1", "+1", "4294967296", "1:2:3", "1 "] {
            assert!(user(text).is_err(), "{text:?}");
        }
        assert!(variable("A=").is_ok() && variable("A").is_err() && variable("=b").is_err());
    }
}

//! Making a container: the program's `create` with our standard streams, which become the
//! container's.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use lxcri_core::backend::{Container, Create};
use lxcri_core::error::Error;
use lxcri_core::oci::Spec;
use lxcri_core::store::Entry;
use lxcri_core::undo::Undo;
use lxcri_linux::cgroup::{Cgroup, Layout};
use lxcri_linux::process::{Process, close_on_exec_from, reset_signals_of};
use lxcri_linux::spawn::spawn_noted;
use lxcri_linux::step::Step as _;

use crate::console::Console;
use crate::error::CrunError;
use crate::features::make_shared;
use crate::messages::Log;
use crate::part::{self, Part};
use crate::program::{STATE_DIRECTORY, command, name_of, push_id};
use crate::step::Step;
use crate::{Crun, delete};

/// Makes it up to "created".
pub(crate) fn create(
    room: &Crun,
    container: &mut Container,
    mut create: Create<'_>,
) -> Result<(), Error> {
    let entry = container.entry.clone();
    let program = room.program()?.to_owned();
    prepare(room, &entry)?;
    Step::CreatePrepared.reached();
    let (name, boot_id) = (room.facts()?.name.clone(), container.record.boot_id.clone());
    let new_cgroup = cgroup_to_be(room, create.spec, &entry);
    let mut part = Part::new(program.clone(), name, boot_id, new_cgroup);
    part.write(&entry)?;
    Step::CreatePart.reached();
    let log = Log::new(&entry)?;
    let console = create.console.take().map(|fd| Console::new(&entry, fd)).transpose()?;
    let pid_file = entry.file("pid");
    let mut command = command(&program, &entry);
    log.push_options(&mut command, room.debug);
    room.push_global_options(&mut command);
    command.arg("create").arg("--bundle").arg(&container.record.bundle);
    command.arg("--pid-file").arg(&pid_file);
    push_console(&mut command, console.as_ref(), create.console_path.as_deref());
    room.push_options(&mut command, &entry, &create)?;
    push_id(&mut command, &entry);

    let mut undo = Undo::new();
    let to_clean = entry.clone();
    undo.push(Step::CreateProgram, move || delete::by_program(room, &to_clean));
    let status = run(command, &program, &entry, &part)?;
    log.judge(&program, status)?;
    Step::CreateRan.reached();
    if let Some(console) = console {
        console.finish()?;
    }
    if !room.facts()?.is_crun() {
        require_unchanged(&entry, &create.config_path)?;
    }
    let init = init(&pid_file, &program)?;
    part.held_by_fifo = part::is_held(&entry);
    part.cgroup = cgroup(init);
    part.write(&entry)?;
    Step::CreateSeen.reached();
    container.record.process = Some(init);
    undo.commit();
    Ok(())
}

impl Crun {
    /// Options before the verb that say how cgroups are made. Only `create` needs them: the program
    /// keeps them with the container.
    fn push_global_options(&self, command: &mut Command) {
        if self.systemd_cgroup {
            command.arg("--systemd-cgroup");
        }
        if self.rootless {
            command.arg("--rootless=true");
        }
    }

    /// Options after the verb that say how this container is made.
    fn push_options(
        &self,
        command: &mut Command,
        entry: &Entry,
        create: &Create<'_>,
    ) -> Result<(), CrunError> {
        if self.facts()?.is_crun() {
            command.arg("--config").arg(entry.file("config.json"));
        }
        if create.no_pivot {
            command.arg("--no-pivot");
        }
        if create.no_new_keyring {
            command.arg("--no-new-keyring");
        }
        push_descriptors(command, create.preserve_fds)
    }
}

/// Makes the program's state directory. crun keeps compiled seccomp filters below its own; a link
/// lets the containers of one state root share them, which saves it some 30 ms each.
fn prepare(room: &Crun, entry: &Entry) -> Result<(), CrunError> {
    let directory = entry.file(STATE_DIRECTORY);
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&directory)
        .map_err(CrunError::io("make", &directory))?;
    let facts = room.facts()?;
    facts.remember(&room.root);
    if facts.is_crun() {
        let shared = make_shared(&room.root).map_err(CrunError::io("make", &room.root))?;
        let link = directory.join(".cache");
        std::os::unix::fs::symlink(shared, &link).map_err(CrunError::io("make", &link))?;
    }
    Ok(())
}

/// Adds `--console-socket`: ours where the receiver is connected already.
pub(crate) fn push_console(command: &mut Command, ours: Option<&Console>, path: Option<&Path>) {
    if let Some(path) = ours.map(|console| console.address().as_path()).or(path) {
        command.arg("--console-socket").arg(path);
    }
}

/// Adds `--preserve-fds` and closes everything else to the program: what we have open, and what a
/// careless caller left open.
pub(crate) fn push_descriptors(command: &mut Command, preserve: u32) -> Result<(), CrunError> {
    if preserve > 0 {
        command.arg("--preserve-fds").arg(preserve.to_string());
    }
    // Socket activation: the programs hand these on, too (sd_listen_fds(3)).
    let listening = std::env::var("LISTEN_FDS").ok().and_then(|text| text.parse().ok());
    let first = 3_u32.saturating_add(preserve).saturating_add(listening.unwrap_or(0));
    close_on_exec_from(first).map_err(CrunError::io("close descriptors in", "/proc/self/fd"))
}

/// The cgroup that the program is about to make, where nothing is there yet: crun leaves it behind
/// when it fails late. By both programs' rules it is `/ID` where the bundle names none. Through
/// systemd it is a scope, which systemd removes.
fn cgroup_to_be(room: &Crun, spec: &Spec, entry: &Entry) -> Option<Cgroup> {
    let id = entry.id().as_str();
    let usual = format!("/{id}");
    let named = spec.linux.as_ref().and_then(|linux| linux.cgroups_path.as_deref());
    let path = named.filter(|path| !path.is_empty()).unwrap_or(&usual);
    if room.systemd_cgroup || !path.starts_with('/') {
        return None;
    }
    let cgroup = Cgroup::plan(&Layout::detect().ok()?, Some(path), id).ok()?;
    let is_new = cgroup.directories().iter().all(|directory| !directory.exists());
    is_new.then_some(cgroup)
}

/// Runs it to its end. It has as long as its hooks need. When we are killed it goes on, and what it
/// makes then has to be found: it begins when it is noted which process it is.
fn run(
    mut command: Command,
    program: &Path,
    entry: &Entry,
    part: &Part,
) -> Result<ExitStatus, CrunError> {
    reset_signals_of(&mut command);
    let note = |maker| {
        Step::CreateCloned.reached();
        Part { maker: Some(maker), ..part.clone() }.write(entry).map_err(std::io::Error::other)?;
        Step::CreateNoted.reached();
        Ok(())
    };
    let spawn = |source| CrunError::Spawn { program: program.to_owned(), source };
    let mut child = spawn_noted(command, note).map_err(spawn)?;
    Step::CreateReleased.reached();
    child.wait().map_err(CrunError::io("wait for", program))
}

/// The program has read the bundle after us: a file that is another one now was not checked.
fn require_unchanged(entry: &Entry, config: &Path) -> Result<(), Error> {
    let given = entry.read("config.json")?;
    let now = std::fs::read(config).map_err(CrunError::io("read", config))?;
    if given == now { Ok(()) } else { Err(CrunError::Changed { path: config.to_owned() }.into()) }
}

fn init(pid_file: &PathBuf, program: &Path) -> Result<Process, CrunError> {
    let text = std::fs::read_to_string(pid_file).map_err(CrunError::io("read", pid_file))?;
    let pid = parse_pid(&text).ok_or_else(|| CrunError::Answer {
        program: name_of(program),
        verb: "create",
        problem: format!("{} holds no pid", pid_file.display()),
    })?;
    Process::of(pid).map_err(CrunError::io("look at", format!("/proc/{pid}")))
}

/// A pid as it stands in a pid file.
pub(crate) fn parse_pid(text: &str) -> Option<i32> {
    text.trim().parse().ok().filter(|pid| *pid > 0)
}

/// The cgroup that the program has put init into. Without it the program is asked more often, so a
/// failure is none of the container's.
fn cgroup(init: Process) -> Option<Cgroup> {
    Cgroup::of_process(init.pid).unwrap_or_else(|error| {
        log::debug!("cannot tell the cgroup of {init}: {error}");
        None
    })
}

#[cfg(test)]
mod tests {
    use super::parse_pid;

    #[test]
    fn pid_files() {
        for (text, pid) in [
            ("12", Some(12)),
            ("12\n", Some(12)),
            ("", None),
            ("0", None),
            ("-1", None),
            ("x", None),
        ] {
            assert_eq!(parse_pid(text), pid, "{text:?}");
        }
    }
}

//! One more process: the program's `exec --detach`, so that the process outlives the program and
//! can be waited for by us.

use std::path::{Path, PathBuf};
use std::process::Command;

use lxcri_core::backend::{Container, Exec, ExecRequest, Running};
use lxcri_core::error::Error;
use lxcri_core::store::Entry;
use lxcri_linux::chain;
use lxcri_linux::process::{PidFd, Process, become_subreaper, reset_signals_of};
use lxcri_linux::procfs::Proc;
use lxcri_linux::step::Step as _;

use crate::Crun;
use crate::console::Console;
use crate::create::{parse_pid, push_console, push_descriptors};
use crate::error::CrunError;
use crate::features::CRUN;
use crate::messages::Log;
use crate::orphans::Orphans;
use crate::part::Part;
use crate::program::{command, name_of, push_id};
use crate::step::Step;

impl Exec for Crun {
    /// Starts it. This process becomes a subreaper and stays one: a process that ends at once must
    /// remain visible until its pid and start time are read. When the caller does not wait for it,
    /// it goes to the next subreaper (a shim, conmon) as soon as the caller ends.
    fn exec(&self, container: &Container, request: ExecRequest) -> Result<Running, Error> {
        let entry = &container.entry;
        let part = Part::read(entry)?;
        let program = self.program_of(Some(&part))?;
        let files = Files::write(entry, &request)?;
        Step::ExecFiles.reached();
        let log = Log::new(entry)?;
        let console = request.console.map(|fd| Console::new(entry, fd)).transpose()?;
        let mut command = command(&program, entry);
        log.push_options(&mut command, self.debug);
        command.args(["exec", "--detach", "--process"]).arg(&files.process);
        command.arg("--pid-file").arg(&files.pid);
        push_console(&mut command, console.as_ref(), request.console_path.as_deref());
        if is_frozen(&part)? && part.name != CRUN {
            // A paused container gets here only where the user has asked for it. crun lacks the
            // option and refuses.
            command.arg("--ignore-paused");
        }
        push_descriptors(&mut command, request.preserve_fds)?;
        push_id(&mut command, entry);
        become_subreaper().map_err(CrunError::io("become the reaper of", "/proc/self"))?;
        inherit_oom_score(request.process.oom_score_adj)?;
        run(&mut command, &program, &log)?;
        Step::ExecRan.reached();
        let running = running(&files.pid, &program)?;
        if let Some(console) = console
            && let Err(error) = console.finish()
        {
            // Without its terminal it would run on, unknown to anybody.
            let _ = running.fd.signal(libc::SIGKILL);
            let _ = running.fd.reap(true);
            return Err(error.into());
        }
        Ok(running)
    }
}

/// crun leaves `oomScoreAdj` out of what it execs; the process gets it from us, by inheritance.
fn inherit_oom_score(score: Option<i32>) -> Result<(), CrunError> {
    let Some(score) = score else { return Ok(()) };
    let own = std::process::id().cast_signed();
    let set = Proc::open().and_then(|proc| proc.set_oom_score_adj(own, score));
    set.map_err(|error| {
        CrunError::io("set", "/proc/self/oom_score_adj")(std::io::Error::other(chain(&error)))
    })
}

fn is_frozen(part: &Part) -> Result<bool, CrunError> {
    part.cgroup.as_ref().map_or(Ok(false), |cgroup| Ok(cgroup.frozen()?))
}

fn run(command: &mut Command, program: &Path, log: &Log) -> Result<(), CrunError> {
    let spawn = |source| CrunError::Spawn { program: program.to_owned(), source };
    reset_signals_of(command);
    let orphans = Orphans::expect();
    let status = command.spawn().map_err(spawn)?.wait();
    let status = status.map_err(CrunError::io("wait for", program))?;
    if !status.success() {
        orphans.reap();
    }
    log.judge(program, status)
}

fn running(pid_file: &Path, program: &Path) -> Result<Running, CrunError> {
    let text = std::fs::read_to_string(pid_file).map_err(CrunError::io("read", pid_file))?;
    let pid = parse_pid(&text).ok_or_else(|| CrunError::Answer {
        program: name_of(program),
        verb: "exec",
        problem: format!("{} holds no pid", pid_file.display()),
    })?;
    let error = || CrunError::io("look at", format!("/proc/{pid}"));
    let fd = PidFd::of_child(pid).map_err(error())?;
    Ok(Running { process: Process::of(pid).map_err(error())?, fd })
}

/// The files of one exec. Dropping them removes them.
#[derive(Debug)]
struct Files {
    /// The process document, which may hold secrets in its environment: for root's eyes only.
    process: PathBuf,
    pid: PathBuf,
}

impl Files {
    fn write(entry: &Entry, request: &ExecRequest) -> Result<Self, Error> {
        let own = std::process::id();
        let name = format!("exec-{own}.json");
        let files =
            Self { process: entry.file(&name), pid: entry.file(&format!("exec-{own}.pid")) };
        entry.write_json(&name, &request.process)?;
        Ok(files)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for file in [&self.process, &self.pid] {
            // Where one stays, it goes with the container's directory.
            let _ = std::fs::remove_file(file);
        }
    }
}

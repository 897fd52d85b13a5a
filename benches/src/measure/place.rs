//! One runtime with its bundles and its state, and what it is asked to do.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use lxcri_testkit::Stop;
use lxcri_testkit::Verdict;
use lxcri_testkit::process;
use lxcri_testkit::verdict::Context;

use super::PAYLOAD;
use super::milliseconds;
use crate::bundles::Bundle;
use crate::bundles::Original;
use crate::figures::Row;
use crate::figures::Samples;
use crate::figures::Who;

/// Where one program runs its containers.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) who: Who,
    pub(crate) program: PathBuf,
    options: &'static [&'static str],
    pub(super) root: PathBuf,
    bundle: Bundle,
    /// With a payload that stays.
    sleeping: Bundle,
    pid_file: PathBuf,
}

impl Place {
    /// `state` is the directory on tmpfs below which roots are.
    pub(super) fn new(
        who: Who,
        program: &Path,
        options: &'static [&'static str],
        original: &Original,
        dir: &Path,
        state: &Path,
    ) -> Verdict<Self> {
        Ok(Self {
            who,
            program: program.to_owned(),
            options,
            root: state.join(who.name()),
            bundle: original.bundle(&dir.join("bundle"), &[PAYLOAD])?,
            sleeping: original.bundle(&dir.join("sleeping"), &["/bin/sleep", "3600"])?,
            pid_file: dir.join("pid"),
        })
    }

    /// The runtime with its options before the command, in its usual root.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_in(&self.root, arguments)
    }

    pub(super) fn command_in(&self, root: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(root).args(self.options).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Runs one command to its end; anything but success is an error.
    pub(super) fn call(&self, arguments: &[&str]) -> Verdict<Duration> {
        time(&mut self.command(arguments))
    }

    /// create, start, exit, delete.
    pub(super) fn life(&self, samples: &mut Samples) -> Verdict {
        let begin = Instant::now();
        let create = self.create(&self.bundle, "bench")?;
        let pid = self.pid()?;
        let start = self.call(&["start", "bench"])?;
        process::wait_for_orphan(pid)?;
        let delete = self.call(&["delete", "bench"])?;
        samples.push(Row::Life, self.who, milliseconds(begin.elapsed()));
        for (row, time) in [(Row::Create, create), (Row::Start, start), (Row::Delete, delete)] {
            samples.push(row, self.who, milliseconds(time));
        }
        Ok(())
    }

    fn create(&self, bundle: &Bundle, id: &str) -> Verdict<Duration> {
        let (dir, pid) = (bundle.dir.to_string_lossy(), self.pid_file.to_string_lossy());
        self.call(&["create", "--bundle", &dir, "--pid-file", &pid, id])
    }

    fn pid(&self) -> Verdict<i32> {
        let text = std::fs::read_to_string(&self.pid_file).context(self.pid_file.display())?;
        text.trim().parse().context(self.pid_file.display())
    }

    /// The arguments of a run of the usual bundle.
    pub(crate) fn run_arguments(&self) -> [String; 4] {
        let bundle = self.bundle.dir.to_string_lossy().into_owned();
        ["run".to_owned(), "--bundle".to_owned(), bundle, "bench".to_owned()]
    }

    pub(super) fn run(&self) -> Verdict<Duration> {
        self.call(&self.run_arguments().each_ref().map(String::as_str))
    }

    /// A container that runs until the value is dropped, for exec.
    pub(super) fn running(&self) -> Verdict<Running<'_>> {
        self.create(&self.sleeping, RUNNING)?;
        let running = Running { place: self, pid: self.pid()? };
        self.call(&["start", RUNNING])?;
        Ok(running)
    }

    pub(super) fn exec(&self) -> Verdict<Duration> {
        self.call(&["exec", RUNNING, PAYLOAD])
    }

    pub(super) fn version(&self) -> Verdict<Duration> {
        time(Command::new(&self.program).arg("--version").stdout(Stdio::null()))
    }
}

/// Its id. `list` finds it in state files and writes another one of the same length there.
pub(super) const RUNNING: &str = "running-0000";

/// A running container.
#[derive(Debug)]
pub(super) struct Running<'p> {
    place: &'p Place,
    pid: i32,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        process::signal(self.pid, rustix::process::Signal::KILL);
        // What fails here is seen by whoever looks at the machine afterwards.
        let _reaped = process::wait_for_orphan(self.pid);
        let _deleted = self.place.call(&["delete", "--force", RUNNING]);
    }
}

/// The floor's program with the plan of one bundle.
#[derive(Debug)]
pub(crate) struct Floor {
    pub(crate) program: PathBuf,
    pub(crate) plan: PathBuf,
}

impl Floor {
    /// All of the kernel's work.
    pub(super) fn run(&self) -> Verdict<Duration> {
        time(Command::new(&self.program).arg(&self.plan).stdout(Stdio::null()))
    }

    /// None of it.
    pub(super) fn start(&self) -> Verdict<Duration> {
        time(&mut Command::new(&self.program))
    }
}

/// How long a command takes; anything but success is an error.
fn time(command: &mut Command) -> Verdict<Duration> {
    let start = Instant::now();
    let status = command.stdin(Stdio::null()).status().context(format!("{command:?}"))?;
    let time = start.elapsed();
    if status.success() { Ok(time) } else { Err(Stop::Failed(format!("{command:?}: {status}"))) }
}

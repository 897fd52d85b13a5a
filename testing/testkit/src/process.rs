//! Child processes with a deadline, and the processes below this one.
//!
//! The harness is a child subreaper: whatever a runtime orphans becomes a child of the test process,
//! so that it can be waited for, as conmon and containerd's shim do.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::Signal;
use rustix::process::WaitOptions;

use crate::verdict::Context;
use crate::verdict::Stop;
use crate::verdict::Verdict;

/// The processes that a [`Started`] waits for, which [`reap_orphans`] leaves alone.
static AWAITED: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// How long one command may take before it counts as hung.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A started command whose three streams are files.
#[derive(Debug)]
pub struct Started {
    child: Child,
    line: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The command line, for messages.
    pub line: String,
    /// Its wait status.
    pub status: ExitStatus,
    /// The file that is its standard output; an inherited descriptor may go on writing to it.
    pub stdout_file: PathBuf,
    /// The file that is its standard error.
    pub stderr_file: PathBuf,
}

impl Started {
    /// Starts `command` with standard input from `stdin` (nothing: `/dev/null`) and both outputs to
    /// new files `NAME.out` and `NAME.err` in `dir`.
    ///
    /// Files, not pipes: a container keeps the descriptors of the runtime that created it, and a
    /// pipe would not end before the container does.
    ///
    /// # Errors
    /// A failure naming the command when it cannot be started.
    pub fn new(
        command: &mut Command,
        dir: &Path,
        name: &str,
        stdin: Option<File>,
    ) -> Verdict<Self> {
        let stdout = dir.join(format!("{name}.out"));
        let stderr = dir.join(format!("{name}.err"));
        let line = line_of(command);
        let child = command
            .stdin(stdin.map_or_else(Stdio::null, Stdio::from))
            .stdout(File::create(&stdout).context(stdout.display())?)
            .stderr(File::create(&stderr).context(stderr.display())?)
            .spawn()
            .context(&line)?;
        let started = Self { child, line, stdout, stderr };
        awaited().insert(started.pid());
        Ok(started)
    }

    /// The process id of the command.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or_default()
    }

    /// Waits until the command has ended.
    ///
    /// # Errors
    /// A failure that says what was still running when it takes longer than `deadline`; the command
    /// and everything below it is killed then.
    pub fn wait(mut self, deadline: Duration) -> Verdict<Ended> {
        if !ends_within(self.pid(), deadline) {
            let tree = describe_tree(self.pid());
            let output = std::fs::read_to_string(&self.stderr).unwrap_or_default();
            kill_tree(self.pid());
            let _status = self.child.wait()?;
            return Err(Stop::Failed(format!(
                "`{}` still ran after {} s:\n{tree}\nits standard error: {output}",
                self.line,
                deadline.as_secs_f32()
            )));
        }
        let status = self.child.wait()?;
        awaited().remove(&self.pid());
        let (line, stdout_file, stderr_file) = (self.line, self.stdout, self.stderr);
        Ok(Ended { line, status, stdout_file, stderr_file })
    }

    /// Kills the command (not what is below it) and waits for it.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(mut self) -> Verdict<ExitStatus> {
        self.child.kill()?;
        let status = self.child.wait()?;
        awaited().remove(&self.pid());
        Ok(status)
    }
}

fn awaited() -> std::sync::MutexGuard<'static, BTreeSet<i32>> {
    AWAITED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The command line for messages.
fn line_of(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|argument| argument.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Runs a command of the machine to its end and returns its standard output.
///
/// # Errors
/// A failure with the command's standard error when it does not exit with 0.
pub fn output_of(command: &mut Command) -> Verdict<String> {
    let line = line_of(command);
    let output = command.stdin(Stdio::null()).output().context(&line)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(Stop::Failed(format!("`{line}`: {}: {}", output.status, words.trim())))
}

/// Whether process `pid` (a child or not) ends within `deadline`.
#[must_use]
pub fn ends_within(pid: i32, deadline: Duration) -> bool {
    let Some(pid) = Pid::from_raw(pid) else {
        return true;
    };
    let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
        return true;
    };
    let until = Instant::now() + deadline;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = rustix::event::Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(0) => return false,
            Err(rustix::io::Errno::INTR) => {}
            Ok(_) | Err(_) => return true,
        }
    }
}

/// Waits for a process that became a child of ours and returns its exit code, 128+n for signal n.
/// Other orphans are reaped meanwhile, as every subreaper does: an init cannot end before the last
/// process of its pid namespace has been reaped.
///
/// # Errors
/// A failure when it does not end within [`DEADLINE`] or is no child of ours.
pub fn wait_for_orphan(pid: i32) -> Verdict<i32> {
    let start = Instant::now();
    while !ends_within(pid, Duration::from_millis(100)) {
        reap_orphans_but(pid);
        if start.elapsed() > DEADLINE {
            return Err(Stop::Failed(format!("process {pid} still runs:\n{}", describe_tree(pid))));
        }
    }
    let child = Pid::from_raw(pid).context("no process id")?;
    let (_pid, status) = rustix::process::waitpid(Some(child), WaitOptions::empty())
        .context(format!("waiting for process {pid}"))?
        .context(format!("process {pid} has no status"))?;
    Ok(exit_code(ExitStatus::from_raw(status.as_raw())))
}

/// The exit code as shells show it: 128+n for signal n.
#[must_use]
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// Sends `signal` to `pid`; a process that is gone is no error.
pub fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // The only other answer is that the process is already gone.
        let _gone = rustix::process::kill_process(pid, signal);
    }
}

/// Kills `pid` and everything below it.
pub fn kill_tree(pid: i32) {
    for process in below(pid) {
        signal(process, Signal::KILL);
    }
    signal(pid, Signal::KILL);
}

/// Reaps the children of this process that have exited and that no [`Started`] waits for.
pub fn reap_orphans() {
    reap_orphans_but(0);
}

/// [`reap_orphans`], less one process whose status is still wanted.
fn reap_orphans_but(wanted: i32) {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    for pid in all().filter(|pid| *pid != wanted && parent_of(*pid) == Some(own)) {
        let dead = state_of(pid) == Some('Z') && !awaited().contains(&pid);
        if dead && let Some(child) = Pid::from_raw(pid) {
            // It was a zombie of ours a moment ago; nobody else can have taken it.
            let _status = rustix::process::waitpid(Some(child), WaitOptions::NOHANG);
        }
    }
}

/// The parent of a process, from `/proc/PID/stat`.
#[must_use]
pub fn parent_of(pid: i32) -> Option<i32> {
    stat_field(pid, 4)?.parse().ok()
}

/// The state letter of a process (`R`, `S`, `D`, `T`, `Z` …), from `/proc/PID/stat`.
#[must_use]
pub fn state_of(pid: i32) -> Option<char> {
    stat_field(pid, 3)?.chars().next()
}

/// Field `number` of `/proc/PID/stat`, counted from 1 as in proc(5), for fields after the name.
fn stat_field(pid: i32, number: usize) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, a parenthesis included.
    let (_before, after) = text.rsplit_once(')')?;
    after.split_whitespace().nth(number - 3).map(str::to_owned)
}

/// Every process below `ancestor`, nearest first, itself excluded.
#[must_use]
pub fn below(ancestor: i32) -> Vec<i32> {
    let mut found = vec![ancestor];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        match children_of(parent) {
            Some(children) => found.extend(children),
            // The kernel is built without CONFIG_PROC_CHILDREN.
            None if next == 0 => return below_by_search(ancestor),
            None => {}
        }
        next += 1;
    }
    found.remove(0);
    found
}

/// The children of all threads of a process: one file to read instead of one for each process of the
/// machine, twice for each test. None where the process is gone or the kernel keeps no such lists.
fn children_of(pid: i32) -> Option<Vec<i32>> {
    let mut found = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let list = std::fs::read_to_string(thread.path().join("children")).ok()?;
        found.extend(list.split_whitespace().filter_map(|word| word.parse::<i32>().ok()));
    }
    Some(found)
}

fn below_by_search(ancestor: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = all().filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
    let mut found = vec![ancestor];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.remove(0);
    found
}

/// The process ids in `/proc`.
pub fn all() -> impl Iterator<Item = i32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// One line about a process: id, state, command line.
#[must_use]
pub fn describe(pid: i32) -> String {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let words = String::from_utf8_lossy(&words).replace('\0', " ");
    let waits = std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
    let state = state_of(pid).unwrap_or('?');
    format!("process {pid} {state} [{}] {} ({waits})", name.trim(), words.trim())
}

/// [`describe`] for a process and everything below it.
fn describe_tree(pid: i32) -> String {
    let mut lines = vec![describe(pid)];
    lines.extend(below(pid).into_iter().map(describe));
    lines.join("\n")
}

/// Polls until `done` says yes.
///
/// # Errors
/// A failure that says what was waited for when it takes longer than [`DEADLINE`].
pub fn until(what: &str, mut done: impl FnMut() -> bool) -> Verdict {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > DEADLINE {
            return Err(Stop::Failed(format!("waited {} s for {what}", DEADLINE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    Ok(())
}

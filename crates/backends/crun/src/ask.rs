//! Running the program for an answer: its output is ours to read, and it may not hang.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use lxcri_core::store::Entry;
use lxcri_linux::process::{PidFd, Process, reset_signals_of};
use lxcri_linux::spawn::spawn_noted;
use lxcri_linux::step::Step as _;
use rustix::fs::MemfdFlags;

use crate::error::CrunError;
use crate::messages::{Log, plain};
use crate::part::Part;
use crate::program::{command, name_of, push_id};
use crate::step::Step;

/// How long a program has that is only asked something.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The most that is read of an answer, in bytes. A features document has some thousand.
const ANSWER_MAX: u64 = 8 << 20;

/// What the program said.
#[derive(Debug)]
pub(crate) struct Answer {
    status: ExitStatus,
    /// Its standard output.
    pub(crate) stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Runs `PROGRAM --root … VERB OPTIONS… ID` and gives its output; its failure is an error in its
/// own words.
pub(crate) fn about(
    program: &Path,
    entry: &Entry,
    words: &[&str],
    input: &[u8],
    patience: Option<Duration>,
) -> Result<Vec<u8>, CrunError> {
    let log = Log::new(entry)?;
    let mut command = command(program, entry);
    log.push_options(&mut command, false);
    command.args(words);
    push_id(&mut command, entry);
    let noted_in = (words.first() == Some(&"delete")).then_some(entry);
    let answer = ask(program, command, words, input, patience, noted_in)?;
    if answer.status.success() {
        log.forward();
        return Ok(answer.stdout);
    }
    Err(log.failure(program, answer.status, &answer.stderr))
}

/// Runs `PROGRAM WORDS…` and gives its output; its failure is an error in its own words.
pub(crate) fn anything(program: &Path, words: &[&str]) -> Result<Vec<u8>, CrunError> {
    let mut command = Command::new(program);
    command.args(words);
    let answer = ask(program, command, words, &[], Some(PATIENCE), None)?;
    if answer.status.success() {
        return Ok(answer.stdout);
    }
    let text = plain(&answer.stderr).unwrap_or_else(|| answer.status.to_string());
    Err(CrunError::Failed { program: name_of(program), text })
}

fn ask(
    program: &Path,
    mut command: Command,
    words: &[&str],
    input: &[u8],
    patience: Option<Duration>,
    noted_in: Option<&Entry>,
) -> Result<Answer, CrunError> {
    // Files in memory in place of pipes: nobody has to read while the program writes.
    let (mut out, mut err) = (memory("output")?, memory("errors")?);
    command.stdin(stdin(input)?).stdout(share(&out)?).stderr(share(&err)?);
    reset_signals_of(&mut command);
    let spawn = |source| CrunError::Spawn { program: program.to_owned(), source };
    // A delete that outlives us would make its directory anew in the place of what is gone by then.
    let spawned = match noted_in {
        Some(entry) => spawn_noted(command, |process| note(entry, process)),
        None => command.spawn(),
    };
    let mut child = spawned.map_err(spawn)?;
    begun(words);
    let status = wait(&mut child, patience).map_err(CrunError::io("wait for", program))?;
    let Some(status) = status else {
        let verb = words.first().copied().unwrap_or_default().to_owned();
        let patience = patience.unwrap_or_default();
        return Err(CrunError::TimedOut { program: name_of(program), verb, patience });
    };
    Ok(Answer { status, stdout: content(&mut out)?, stderr: content(&mut err)? })
}

/// Notes who is at work, for the next delete to wait for. A damaged part keeps nobody from deleting.
fn note(entry: &Entry, process: Process) -> std::io::Result<()> {
    let Ok(part) = Part::read(entry) else { return Ok(()) };
    Part { maker: Some(process), ..part }.write(entry).map_err(std::io::Error::other)
}

/// The program is at work on a verb that changes something.
fn begun(words: &[&str]) {
    match words.first() {
        Some(&"pause") => Step::PauseAsked.reached(),
        Some(&"resume") => Step::ResumeAsked.reached(),
        Some(&"update") => Step::UpdateAsked.reached(),
        Some(&"delete") => Step::DeleteAsked.reached(),
        _ => {}
    }
}

/// Waits for a child; `None` where it took too long and was killed.
fn wait(child: &mut Child, patience: Option<Duration>) -> std::io::Result<Option<ExitStatus>> {
    if let Some(patience) = patience
        && !PidFd::of_child(child.id().cast_signed())?.wait_for_end(Some(patience))?
    {
        child.kill()?;
        child.wait()?;
        return Ok(None);
    }
    child.wait().map(Some)
}

fn memory(name: &str) -> Result<File, CrunError> {
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC);
    fd.map(File::from).map_err(CrunError::io("make a file in memory for", name))
}

fn share(file: &File) -> Result<Stdio, CrunError> {
    file.try_clone().map(Stdio::from).map_err(CrunError::io("share", "a file in memory"))
}

fn stdin(input: &[u8]) -> Result<Stdio, CrunError> {
    if input.is_empty() {
        return Ok(Stdio::null());
    }
    let mut file = memory("input")?;
    let written = file.write_all(input).and_then(|()| file.rewind());
    written.map_err(CrunError::io("write", "a file in memory"))?;
    Ok(Stdio::from(file))
}

fn content(file: &mut File) -> Result<Vec<u8>, CrunError> {
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.take(ANSWER_MAX).read_to_end(&mut bytes));
    read.map_err(CrunError::io("read", "a file in memory"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, input: &[u8], patience: Duration) -> Result<Answer, CrunError> {
        let program = Path::new("/bin/sh");
        let mut command = Command::new(program);
        command.args(["-c", script]);
        ask(program, command, &["verb"], input, Some(patience), None)
    }

    #[test]
    fn output_input_and_errors() {
        let answer = sh("cat; echo e >&2; exit 3", b"in", Duration::from_secs(10)).unwrap();
        assert_eq!((answer.stdout.as_slice(), answer.stderr.as_slice()), (&b"in"[..], &b"e\n"[..]));
        assert_eq!(answer.status.code(), Some(3));
        // More than any pipe holds.
        let long = sh("head -c 1000000 /dev/zero", b"", Duration::from_secs(10)).unwrap();
        assert_eq!(long.stdout.len(), 1_000_000);
    }

    #[test]
    fn who_hangs_is_ended() {
        let error = sh("exec sleep 1000", b"", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, CrunError::TimedOut { .. }), "{error}");
        assert!(error.to_string().starts_with("sh verb did not end"), "{error}");
        let missing = Path::new("/nonexistent/program");
        assert!(anything(missing, &[]).unwrap_err().to_string().contains("/nonexistent/program"));
        let failed = anything(Path::new("/bin/sh"), &["-c", "echo why >&2; exit 1"]).unwrap_err();
        assert_eq!(failed.to_string(), "sh: why");
    }
}

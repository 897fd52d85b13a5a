//! One call of zfs(8), bounded in time and in what it may print.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::{Refusal, ZfsError};

/// Most bytes of output and of errors that are kept; 100,000 datasets are some 10 MB.
const OUTPUT_MAX: usize = 64 * 1024 * 1024;
const ERRORS_MAX: usize = 16 * 1024;

/// Pause between two looks at a program that has closed its output and not ended yet.
const PAUSE: Duration = Duration::from_millis(1);

pub(crate) fn run(program: &Path, words: &[&str], patience: Duration) -> Result<String, ZfsError> {
    let command = words.join(" ");
    let no_program = |source| ZfsError::NoProgram { program: program.to_owned(), source };
    let mut child = Command::new(program)
        .args(words)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(no_program)?;
    let finished = finish(&mut child, Instant::now() + patience);
    if !matches!(finished, Ok(Some(_))) {
        // It may be stuck in the kernel, where it cannot be killed: then it is left behind.
        let _ = child.kill();
        let _ = child.try_wait();
    }
    let Some((status, output, errors)) = finished.map_err(no_program)? else {
        return Err(ZfsError::Silent { command, patience });
    };
    if !status.success() {
        let text = one_line(&errors, status);
        return Err(ZfsError::Refused { command, refusal: Refusal::of(&text), text });
    }
    String::from_utf8(output)
        .map_err(|_| ZfsError::Output { command, problem: "it is not UTF-8".to_owned() })
}

/// Reads what the child prints until it ends; `None` when that takes too long.
#[expect(clippy::type_complexity, reason = "status, output and errors, used once")]
fn finish(
    child: &mut Child,
    deadline: Instant,
) -> io::Result<Option<(ExitStatus, Vec<u8>, Vec<u8>)>> {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    while stdout.is_some() || stderr.is_some() {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let mut fds = Vec::new();
        fds.extend(stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        fds.extend(stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        if rustix::io::retry_on_intr(|| poll(&mut fds, Some(&timeout)))? == 0 {
            return Ok(None);
        }
        let mut ready =
            fds.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<_>>().into_iter();
        if stdout.is_some() && ready.next() == Some(true) {
            take(&mut stdout, &mut output, OUTPUT_MAX)?;
        }
        if stderr.is_some() && ready.next() == Some(true) {
            take(&mut stderr, &mut errors, ERRORS_MAX)?;
        }
    }
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some((status, output, errors))),
            None if Instant::now() > deadline => return Ok(None),
            None => std::thread::sleep(PAUSE),
        }
    }
}

/// One read. At the end the pipe is closed, and so it is for one who prints too much.
fn take(pipe: &mut Option<impl Read>, into: &mut Vec<u8>, most: usize) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    let length = match pipe.as_mut().map_or(Ok(0), |pipe| pipe.read(&mut buffer)) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
        result => result?,
    };
    into.extend_from_slice(buffer.get(..length).unwrap_or_default());
    if length == 0 || into.len() > most {
        *pipe = None;
    }
    Ok(())
}

fn one_line(errors: &[u8], status: ExitStatus) -> String {
    let text = String::from_utf8_lossy(errors);
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ").replace(|c: char| c.is_control(), "?");
    if text.is_empty() { status.to_string() } else { text }
}

//! Credential helpers: programs `docker-credential-NAME` with the verbs `get`, `store` and `erase`,
//! which read from standard input and answer on standard output (docker-credential-helpers).

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use serde::Deserialize;
use serde_json::json;

use super::{Credentials, CredentialsError, Secret};
use crate::registry::error::told;

/// How long a helper may take: some ask people for a passphrase.
const PATIENCE: Duration = Duration::from_secs(60);

/// The most bytes of a helper's answer.
const MAX_ANSWER: usize = 64 * 1024;

/// The user name of a helper that answers with a refresh token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// What the helper knows of a registry; nothing where it says that it knows none.
pub(super) fn get(
    name: &str,
    path: Option<&OsStr>,
    host: &str,
) -> Result<Option<Credentials>, CredentialsError> {
    let Some(bytes) = call(name, path, "get", host.as_bytes())? else { return Ok(None) };
    let answer: Answer = serde_json::from_slice(&bytes)
        .map_err(|_| problem(name, "its answer is not the JSON that was agreed on".to_owned()))?;
    let secret = Secret::new(answer.secret);
    Ok(Some(match answer.username.as_str() {
        TOKEN_USER => Credentials::IdentityToken(secret),
        _ => Credentials::Password { user: answer.username, secret },
    }))
}

/// Lets the helper keep a password.
pub(super) fn store(
    name: &str,
    path: Option<&OsStr>,
    host: &str,
    user: &str,
    secret: &Secret,
) -> Result<(), CredentialsError> {
    let input = json!({ "ServerURL": host, "Username": user, "Secret": secret.reveal() });
    let stored = call(name, path, "store", input.to_string().as_bytes())?;
    stored.map(|_| ()).ok_or_else(|| problem(name, "it knows no place for them".to_owned()))
}

/// Lets the helper forget a registry; whether there was anything.
pub(super) fn erase(
    name: &str,
    path: Option<&OsStr>,
    host: &str,
) -> Result<bool, CredentialsError> {
    if get(name, path, host)?.is_none() {
        return Ok(false);
    }
    Ok(call(name, path, "erase", host.as_bytes())?.is_some())
}

/// Runs the helper; nothing where it says "not found".
fn call(
    name: &str,
    path: Option<&OsStr>,
    verb: &str,
    input: &[u8],
) -> Result<Option<Vec<u8>>, CredentialsError> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.len() > 100 || !name.bytes().all(word) {
        return Err(problem(&told(name), "no name of a helper".to_owned()));
    }
    let program = find(&format!("docker-credential-{name}"), path)
        .ok_or_else(|| problem(name, "no such program".to_owned()))?;
    let failed = |error: io::Error| problem(name, error.to_string());
    let mut child = Command::new(program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let talked = talk(&mut child, input);
    if talked.is_err() {
        let _dead = child.kill();
    }
    let status = child.wait().map_err(failed)?;
    let output = talked.map_err(failed)?;
    if status.success() {
        return Ok(Some(output));
    }
    // What Docker's own helpers say on standard output.
    let text = String::from_utf8_lossy(&output);
    if text.contains("credentials not found") {
        return Ok(None);
    }
    Err(problem(name, format!("{verb}: {status}: {}", told(&text))))
}

/// Writes the input, closes it, and reads the answer to its end, all within [`PATIENCE`].
fn talk(child: &mut Child, input: &[u8]) -> io::Result<Vec<u8>> {
    if let Some(mut stdin) = child.stdin.take() {
        // A pipe takes 64 KiB without a reader; what is written here is much less. A helper that does
        // not read shows in its status.
        match stdin.write_all(&input[..input.len().min(32 * 1024)]) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    let Some(mut stdout) = child.stdout.take() else { return Ok(Vec::new()) };
    let end = Instant::now() + PATIENCE;
    let mut output = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 });
        let mut fds = [PollFd::new(&stdout, PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Err(io::Error::other("it does not end")),
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
            Ok(_) => {}
        }
        match stdout.read(&mut piece)? {
            0 => return Ok(output),
            length => output.extend_from_slice(&piece[..length]),
        }
        if output.len() > MAX_ANSWER {
            return Err(io::Error::other("its answer is larger than 64 KiB"));
        }
    }
}

/// A program in `PATH`. Relative directories in it are passed over.
fn find(program: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    let own = std::env::var_os("PATH");
    let path = path.or(own.as_deref())?;
    let directories = path.as_bytes().split(|byte| *byte == b':').map(OsStr::from_bytes);
    let absolute = directories.map(Path::new).filter(|directory| directory.is_absolute());
    absolute.map(|directory| directory.join(program)).find(|path| path.is_file())
}

fn problem(name: &str, problem: String) -> CredentialsError {
    CredentialsError::Helper { program: format!("docker-credential-{name}"), problem }
}

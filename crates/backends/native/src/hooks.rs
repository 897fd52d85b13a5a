//! Running hooks: the state on stdin, a deadline, and a failure that says what the hook said.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lxcri_core::oci::{Hook, Hooks, State};
use lxcri_linux::process::{Ended, PidFd};
use lxcri_linux::signal;
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Signal};

use crate::error::NativeError;

/// Most of a hook's output that an error repeats, in bytes.
const OUTPUT_MAX: u64 = 2048;

/// Runs the hooks of one list in order; the first failure ends it.
pub(crate) fn run(
    list: &'static str,
    hooks: &[Hook],
    state: &State,
    default_timeout: Option<Duration>,
) -> Result<(), NativeError> {
    for hook in hooks {
        run_one(hook, state, default_timeout).map_err(|problem| NativeError::Hook {
            list,
            path: hook.path.display().to_string(),
            problem,
        })?;
    }
    Ok(())
}

fn run_one(hook: &Hook, state: &State, default: Option<Duration>) -> Result<(), String> {
    let document = serde_json::to_vec(state).map_err(|error| error.to_string())?;
    // Files in memory instead of pipes: a hook that leaves a process behind cannot make us wait,
    // and one that reads or writes nothing cannot block.
    let input = memory_file(&document).map_err(|error| error.to_string())?;
    let output = memory_file(b"").map_err(|error| error.to_string())?;
    let stdio = |file: &File| file.try_clone().map(|file| Stdio::from(OwnedFd::from(file)));
    let streams = || Ok::<_, std::io::Error>((stdio(&input)?, stdio(&output)?, stdio(&output)?));
    let (stdin, stdout, stderr) = streams().map_err(|error| error.to_string())?;
    let mut command = Command::new(&hook.path);
    if let Some((name, rest)) = hook.args.split_first() {
        command.arg0(name).args(rest);
    }
    command.env_clear().envs(hook.env.iter().filter_map(|entry| entry.split_once('=')));
    command.stdin(stdin).stdout(stdout).stderr(stderr).process_group(0);
    let child = command.spawn().map_err(|error| error.to_string())?;
    let ended = wait(child, timeout_of(hook, default))?;
    if ended == Ended::Exited(0) {
        return Ok(());
    }
    Err(format!("{ended}{}", said(output)))
}

/// Its own time-out in seconds, or the configured one. [`check`] has seen to it that it is above 0.
fn timeout_of(hook: &Hook, default: Option<Duration>) -> Option<Duration> {
    let own = hook.timeout.and_then(|seconds| u64::try_from(seconds).ok());
    own.map(Duration::from_secs).or(default)
}

/// Judges the hooks before anything is made (OCI runtime-spec `config.md`, "POSIX-platform Hooks").
pub(crate) fn check(hooks: &Hooks) -> Result<(), NativeError> {
    for (list, hooks) in hooks.lists() {
        for (index, hook) in hooks.iter().enumerate() {
            let wrong = |what: &str, problem: &str| NativeError::Field {
                field: format!("hooks.{list}[{index}].{what}"),
                problem: problem.to_owned(),
            };
            if hook.timeout.is_some_and(|seconds| seconds <= 0) {
                return Err(wrong("timeout", "must be above 0"));
            }
            if !hook.path.is_absolute() {
                return Err(wrong("path", "must be absolute"));
            }
        }
    }
    Ok(())
}

fn wait(mut child: Child, timeout: Option<Duration>) -> Result<Ended, String> {
    let text = |error: std::io::Error| error.to_string();
    let pid = child.id().cast_signed();
    if let Err(why) = wait_in_time(pid, timeout) {
        if let Some(group) = Pid::from_raw(pid) {
            // It may have ended this very moment.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        child.wait().map_err(text)?;
        return Err(why);
    }
    let status = child.wait().map_err(text)?;
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    Ok(signal.map_or_else(|| Ended::Exited(status.code().unwrap_or(-1)), Ended::Killed))
}

/// How often a hook's waiter looks whether it is asked to end itself.
const GLANCE: Duration = Duration::from_millis(100);

/// Waits for the end of a hook; an error says why it must not go on. By descriptor and not by
/// /proc, which inside a container may be the host's or missing.
fn wait_in_time(pid: i32, timeout: Option<Duration>) -> Result<(), String> {
    let fd = PidFd::of_child(pid).map_err(|error| error.to_string())?;
    let started = Instant::now();
    loop {
        let left = timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
        let patience = left.map_or(GLANCE, |left| left.min(GLANCE));
        if fd.wait_for_end(Some(patience)).map_err(|error| error.to_string())? {
            return Ok(());
        }
        if left.is_some_and(|left| left.is_zero()) {
            let seconds = timeout.unwrap_or_default().as_secs_f64();
            return Err(format!("killed after its timeout of {seconds} s"));
        }
        // A foreground `run` has its signals blocked, to forward them; there is nobody to forward
        // them to yet.
        if let Some(signal) = signal::pending_end() {
            return Err(format!("interrupted by {signal}"));
        }
    }
}

fn memory_file(content: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("hook", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// What the hook printed, as ": text" on one line, or nothing.
fn said(mut output: File) -> String {
    let mut text = Vec::new();
    let read = output
        .seek(SeekFrom::Start(0))
        .and_then(|_| output.take(OUTPUT_MAX).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    let text = text.trim();
    if read.is_err() || text.is_empty() {
        String::new()
    } else {
        format!(": {}", text.replace('\n', "; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        serde_json::from_str(
            r#"{"ociVersion": "1.2.0", "id": "c1", "pid": 7, "status": "creating", "bundle": "/b"}"#,
        )
        .unwrap()
    }

    fn sh(script: &str, timeout: Option<i64>) -> Result<(), String> {
        let hook = Hook {
            path: "/bin/sh".into(),
            args: vec!["sh".into(), "-c".into(), script.into()],
            env: vec!["NAME=value".into()],
            timeout,
        };
        run("prestart", &[hook], &state(), None).map_err(|error| error.to_string())
    }

    #[test]
    fn state_environment_and_arguments_arrive() {
        assert_eq!(sh("test \"$NAME\" = value && grep -q '\"id\":\"c1\"'", None), Ok(()));
        assert_eq!(sh("test -z \"$HOME\"", None), Ok(()));
    }

    #[test]
    fn a_failure_says_what_the_hook_said() {
        assert_eq!(
            sh("echo no; echo luck >&2; exit 3", None).unwrap_err(),
            "prestart hook /bin/sh: exit code 3: no; luck"
        );
        assert_eq!(sh("kill -9 $$", None).unwrap_err(), "prestart hook /bin/sh: signal 9");
        let missing = Hook { path: "/nonexistent".into(), ..Hook::default() };
        assert!(run("poststop", &[missing], &state(), None).is_err());
    }

    #[test]
    fn hooks_are_checked() {
        let hooks = |path: &str, timeout| Hooks {
            poststart: vec![Hook { path: path.into(), timeout, ..Hook::default() }],
            ..Hooks::default()
        };
        assert!(check(&hooks("/bin/true", Some(1))).is_ok() && check(&hooks("/x", None)).is_ok());
        for (path, timeout, field) in
            [("/x", Some(0), "timeout"), ("/x", Some(-1), "timeout"), ("x", None, "path")]
        {
            let error = check(&hooks(path, timeout)).unwrap_err().to_string();
            assert!(error.starts_with(&format!("hooks.poststart[0].{field}: must be")), "{error}");
        }
    }

    #[test]
    fn a_hook_that_hangs_is_killed_with_its_children() {
        let started = std::time::Instant::now();
        let error = sh("sleep 60 & echo $! >&2; sleep 60", Some(1)).unwrap_err();
        assert!(error.ends_with("killed after its timeout of 1 s"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(20));
    }
}

//! What `state` and `list` say, whatever was cut off.

use std::time::Duration;

use lxcri_testkit::Room;
use lxcri_testkit::Stop;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::process;
use lxcri_testkit::verdict::Context;
use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The states of the runtime specification.
const STATES: [&str; 5] = ["creating", "created", "running", "paused", "stopped"];

/// How often a process may be seen to have ended just after it was named.
const LOOKS: u32 = 50;

/// The status that `state` tells, or nothing where there is no such container. `list` must know as
/// much; neither may name a process that is dead.
pub(super) fn status(room: &Room, id: &str) -> Verdict<Option<String>> {
    let mut problem = String::new();
    for _look in 0..LOOKS {
        match agreed_status(room, id)? {
            Ok(status) => return Ok(status),
            Err(text) => problem = text,
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(Stop::Failed(problem))
}

/// One look. The inner error may be a matter of the moment.
fn agreed_status(room: &Room, id: &str) -> Verdict<Result<Option<String>, String>> {
    let state = state(room, id)?;
    let listed = listed(room, id)?;
    for document in [&state, &listed].into_iter().flatten() {
        if let Err(problem) = check(document)? {
            return Ok(Err(problem));
        }
    }
    let word = |document: &Option<Value>| {
        document.as_ref().and_then(|document| document["status"].as_str()).map(str::to_owned)
    };
    if word(&state) != word(&listed) {
        return Ok(Err(format!("state: {state:?}, list: {listed:?}")));
    }
    Ok(Ok(word(&state)))
}

fn state(room: &Room, id: &str) -> Verdict<Option<Value>> {
    let finished = room.call_within(PATIENCE, &["state", id])?;
    if finished.code != 0 {
        let says_so = finished.code == 1 && finished.stderr.contains("container does not exist");
        ensure!(says_so, "state neither answers nor says that there is none: {finished}");
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(&finished.stdout).context(&finished)?))
}

fn listed(room: &Room, id: &str) -> Verdict<Option<Value>> {
    let finished = room.call_within(PATIENCE, &["list", "--format", "json"])?.ok()?;
    let lines: Vec<Value> = serde_json::from_str(&finished.stdout).context(&finished)?;
    Ok(lines.into_iter().find(|line| line["id"] == id))
}

/// A status there is, and a process exactly where it has one.
fn check(document: &Value) -> Verdict<Result<(), String>> {
    let status = document["status"].as_str().unwrap_or_default();
    ensure!(STATES.contains(&status), "a status that does not exist: {document}");
    let pid = i32::try_from(document["pid"].as_i64().unwrap_or_default())?;
    let has_process = ["created", "running", "paused"].contains(&status);
    if !has_process {
        ensure!(status == "creating" || pid == 0, "a process of a dead container: {document}");
        return Ok(Ok(()));
    }
    let lives = pid > 0 && process::state_of(pid).is_some_and(|state| state != 'Z');
    Ok(if lives { Ok(()) } else { Err(format!("{status} without a living process: {document}")) })
}

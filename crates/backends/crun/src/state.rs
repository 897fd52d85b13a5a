//! What is true of a container now, by the kernel where that suffices, else by the program's
//! `state`.

use lxcri_core::backend::{Container, Observed};
use lxcri_core::error::Error;
use lxcri_core::lifecycle::Status;
use lxcri_linux::procfs::{self, Proc};
use serde::Deserialize;

use crate::Crun;
use crate::ask::{self, PATIENCE};
use crate::error::CrunError;
use crate::part::{self, Part};
use crate::program::name_of;

/// Observes it. No program is started where the init is dead, nor where it was held by the fifo.
pub(crate) fn observe(room: &Crun, container: &Container) -> Result<Observed, Error> {
    let stopped = Observed { status: Status::Stopped, process: None };
    let Some(init) = container.record.process.filter(lxcri_linux::process::Process::is_alive)
    else {
        return Ok(stopped);
    };
    let part = Part::read(&container.entry)?;
    let status = match by_kernel(container, &part)? {
        Some(status) => status,
        None => by_program(room, container, &part)?,
    };
    let status = match status {
        Status::Created if has_begun(&part, init.pid)? => Status::Running,
        status => status,
    };
    Ok(if status.has_process() { Observed { status, process: Some(init) } } else { stopped })
}

fn by_kernel(container: &Container, part: &Part) -> Result<Option<Status>, CrunError> {
    let (true, Some(cgroup)) = (part.held_by_fifo, &part.cgroup) else { return Ok(None) };
    if cgroup.frozen()? {
        return Ok(Some(Status::Paused));
    }
    let held = part::is_held(&container.entry);
    Ok(Some(if held { Status::Created } else { Status::Running }))
}

/// Whether init runs the user's program, whatever the driven program says: runc and youki go by a
/// fifo that their `start` removes last. Was that killed before, they call the container created,
/// and a second `start` waits for ever. Until then their inits are called `runc:[2:INIT]` and the
/// like, as no fresh program is.
fn has_begun(part: &Part, pid: i32) -> Result<bool, CrunError> {
    let name = name_of(&part.program);
    let Some(own) = ["runc", "youki"].into_iter().find(|known| name.starts_with(known)) else {
        return Ok(false);
    };
    match Proc::open()?.command_name(pid) {
        Ok(command) => Ok(!command.starts_with(format!("{own}:[").as_bytes())),
        Err(procfs::Error::NoProcess(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The part of the program's answer that is needed.
#[derive(Debug, Deserialize)]
struct Answer {
    status: String,
}

fn by_program(room: &Crun, container: &Container, part: &Part) -> Result<Status, Error> {
    let program = room.program_of(Some(part))?;
    let output = ask::about(&program, &container.entry, &["state"], &[], Some(PATIENCE))?;
    Ok(parse(&output).map_err(|problem| CrunError::Answer {
        program: name_of(&program),
        verb: "state",
        problem,
    })?)
}

fn parse(output: &[u8]) -> Result<Status, String> {
    let answer: Answer = serde_json::from_slice(output).map_err(|error| error.to_string())?;
    let word = answer.status.to_ascii_lowercase();
    // runc and youki have words of their own for a container that is neither.
    match word.as_str() {
        "creating" => Ok(Status::Creating),
        "created" => Ok(Status::Created),
        "running" => Ok(Status::Running),
        "paused" | "pausing" => Ok(Status::Paused),
        "stopped" => Ok(Status::Stopped),
        _ => Err(format!("status is {:?}", answer.status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let table = [
            (r#"{"status": "created", "pid": 7}"#, Some(Status::Created)),
            (r#"{"status": "Running"}"#, Some(Status::Running)),
            (r#"{"status": "paused", "x": []}"#, Some(Status::Paused)),
            (r#"{"status": "stopped"}"#, Some(Status::Stopped)),
            (r#"{"status": "dancing"}"#, None),
            (r#"{"status": 7}"#, None),
            ("{}", None),
            ("", None),
            ("\u{0}", None),
        ];
        for (text, wanted) in table {
            assert_eq!(parse(text.as_bytes()).ok(), wanted, "{text}");
        }
    }
}

//! Signals: the driven program's `kill`, executed in place.

use lxcri_core::backend::{Container, Finish};
use lxcri_core::error::Error;

use crate::Crun;
use crate::part::Part;
use crate::program::{command, push_id};

/// The command to become. The signal goes by number: names are spelt in different ways.
pub(crate) fn kill(
    room: &Crun,
    container: &Container,
    signal: i32,
    all: bool,
) -> Result<Finish, Error> {
    let entry = &container.entry;
    let program = room.program_of(Some(&Part::read(entry)?))?;
    let mut command = command(&program, entry);
    command.arg("kill");
    if all {
        command.arg("--all");
    }
    push_id(&mut command, entry);
    command.arg(signal.to_string());
    Ok(Finish::Execute(command))
}

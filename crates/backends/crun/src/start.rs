//! Running the user's program: the driven program's `start`, executed in place.

use lxcri_core::backend::{Container, Finish};
use lxcri_core::error::Error;

use crate::Crun;
use crate::part::Part;
use crate::program::{command, push_id};

/// The command to become.
pub(crate) fn start(room: &Crun, container: &Container) -> Result<Finish, Error> {
    let entry = &container.entry;
    let program = room.program_of(Some(&Part::read(entry)?))?;
    let mut command = command(&program, entry);
    command.arg("start");
    push_id(&mut command, entry);
    Ok(Finish::Execute(command))
}

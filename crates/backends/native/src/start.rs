//! `start`: opens the gate that init waits at.

use std::time::Duration;

use lxcri_core::Error;
use lxcri_core::backend::{Container, Finish};
use lxcri_core::lifecycle::{Status, Verb};
use lxcri_core::oci::Spec;

use crate::error::NativeError;
use crate::gate::{self, Opened};
use crate::hooks;
use crate::room_file::RoomFile;

/// Lets init go on to the user's program, and runs the poststart hooks.
pub(crate) fn start(
    container: &Container,
    hook_timeout: Option<Duration>,
) -> Result<Finish, Error> {
    match gate::open(&container.entry)? {
        Opened::Through => {}
        Opened::Failed(text) => return Err(NativeError::Init(text).into()),
        Opened::Died => {
            let text = "the container's init ended before it executed the program";
            return Err(NativeError::Init(text.to_owned()).into());
        }
        Opened::Nobody => {
            let status = Status::Running;
            let refusal = status.allows(Verb::Start).err().unwrap_or_default();
            return Err(Error::State { id: container.id().to_string(), refusal, status });
        }
    }
    if RoomFile::read(&container.entry)?.has_poststart {
        run_poststart(container, hook_timeout)?;
    }
    Ok(Finish::Done)
}

/// A failing poststart hook fails `start` and ends the container, as with runc.
fn run_poststart(container: &Container, hook_timeout: Option<Duration>) -> Result<(), Error> {
    let path = container.entry.file("config.json");
    let spec = Spec::parse(&container.entry.read("config.json")?, &path)?;
    let Some(hooks) = &spec.hooks else { return Ok(()) };
    let state = container.state(Status::Running);
    hooks::run("poststart", &hooks.poststart, &state, hook_timeout).map_err(|error| {
        if let Err(kill) = crate::kill::end(container) {
            log::warn!("{}: cannot end the container: {kill}", container.id());
        }
        error.into()
    })
}

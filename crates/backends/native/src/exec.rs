//! `exec`: hands over to the one implementation in `linux`, with the container's own filters.

use lxcri_core::Error;
use lxcri_core::backend::{Container, Exec, ExecRequest, Running};
use lxcri_core::oci::Spec;
use lxcri_linux::exec::{self, Request};
use lxcri_linux::process::Process;

use crate::Native;
use crate::error::{NativeError, step};
use crate::payload::{Surroundings, translate};
use crate::room_file::RoomFile;

impl Exec for Native {
    fn exec(&self, container: &Container, request: ExecRequest) -> Result<Running, Error> {
        let path = container.entry.file("config.json");
        let spec = Spec::parse(&container.entry.read("config.json")?, &path)?;
        let room = RoomFile::read(&container.entry)?;
        let around = Surroundings {
            linux: &spec.linux(),
            entry: &container.entry,
            preserve_fds: request.preserve_fds,
            keyring: room.joins_keyring,
        };
        let payload = translate(&request.process, &around)?;
        let gone = || NativeError::NotRunning(container.id().to_string());
        let init = container.record.process.ok_or_else(gone)?;
        let terminal =
            request.console.map(|console| crate::plan::terminal(console, &request.process));
        let request = Request { init, cgroup: Some(&room.cgroup), payload: &payload, terminal };
        let child = exec::exec(&request).map_err(step("exec failed"))?;
        let process = Process::of(child.pid).map_err(step("read the process's identity"))?;
        Ok(Running { process, fd: child.fd })
    }
}

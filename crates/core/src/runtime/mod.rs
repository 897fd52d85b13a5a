//! The one door: every command of every user and client comes through here, one file per verb.
//!
//! A verb finds the container by its state file, asks the kernel (through the room) what is true
//! now, checks that the state allows the verb, and hands over to the room that the file names.

mod create;
mod delete;
mod exec;
mod features;
mod find;
mod kill;
mod list;
mod observe;
mod pause;
mod start;
mod update;

use crate::backend::{Backend, Room, Settings};
use crate::config::Config;
use crate::error::Error;
use crate::store::Store;

pub use create::{CreateOptions, boot_id, remove_pid_file};
pub use exec::ExecOptions;
pub use features::features;
pub use find::Found;
pub use list::Listed;

/// A room and its backend, opened.
type OpenRoom = (&'static Room, Box<dyn Backend>);

/// The runtime over one state directory.
#[derive(Debug)]
pub struct Runtime<'r> {
    store: Store,
    rooms: &'r [&'static Room],
    settings: Settings<'r>,
}

impl<'r> Runtime<'r> {
    /// A runtime that knows `rooms` and keeps its state in `store`.
    pub fn new(store: Store, rooms: &'r [&'static Room], settings: Settings<'r>) -> Self {
        Self { store, rooms, settings }
    }

    /// The configuration in force.
    pub fn config(&self) -> &'r Config {
        self.settings.config
    }

    /// The state directory.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn room_names(&self) -> Vec<&'static str> {
        self.rooms.iter().map(|room| room.name).collect()
    }

    /// Opens the room a state file names.
    fn open_room(&self, id: &str, name: &str) -> Result<OpenRoom, Error> {
        let room =
            self.rooms.iter().find(|room| room.name == name).ok_or_else(|| {
                Error::UnknownBackend { id: id.to_owned(), backend: name.to_owned() }
            })?;
        Ok((room, (room.open)(&self.settings)?))
    }
}

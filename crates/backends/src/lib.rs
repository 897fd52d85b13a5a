//! The table of rooms: every way this program can run a container. Adding a backend is one room and
//! one line here.

mod coverage_document;

use lxcri_core::backend::Room;

pub use coverage_document::coverage_document;

/// All rooms, in the order in which tables show them.
pub static ROOMS: &[&Room] = &[&lxcri_backend_native::ROOM, &lxcri_backend_crun::ROOM];

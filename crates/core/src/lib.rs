//! The vocabulary of Proxmox LXCRI and the one door to every backend.
//!
//! [`runtime::Runtime`] is the door: one function per verb. [`backend`] is what a room implements,
//! [`coverage`] what it says of each field of `config.json`, [`store`] what is kept between two
//! commands. Nothing here names a room, prints, exits, or reads the environment unasked.

pub mod backend;
pub mod config;
pub mod coverage;
pub mod error;
pub mod id;
pub mod lifecycle;
pub mod logging;
pub mod oci;
pub mod routing;
pub mod runtime;
pub mod step;
pub mod store;
pub mod suggest;
pub mod time;
pub mod undo;

pub use error::Error;

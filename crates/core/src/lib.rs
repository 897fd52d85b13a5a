//! The vocabulary of Proxmox LXCRI and the one door to every backend.

pub mod config;
pub mod logging;
pub mod routing;
pub mod suggest;
pub mod time;

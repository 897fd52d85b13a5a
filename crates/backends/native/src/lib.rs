//! The built-in executor: an OCI container made by this program itself, with nothing else
//! installed. Chosen by default. It cannot (yet) do what its coverage table refuses, above all
//! SELinux and seccomp listeners; it refuses those by name.
//!
//! `create` clones the container's init straight into its namespaces and cgroup; init puts the file
//! system together and waits at a gate (a fifo) for `start`, which is another process. Nothing is
//! re-executed but `create` and `exec` themselves, once, from a sealed copy of the program.

mod backend;
mod coverage;
mod create;
mod delete;
mod error;
mod exec;
mod gate;
mod hooks;
mod init;
mod kill;
mod namespaces;
mod observe;
mod pause;
mod payload;
mod plan;
mod room_file;
mod rootfs;
mod scope;
mod start;
mod stats;
mod step;
mod update;

pub use backend::{Native, ROOM};

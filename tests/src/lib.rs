//! End-to-end tests of the built program, written against the contract: runc's command line and the
//! OCI runtime specification. Each reads effects back from the kernel or from inside the container.

pub mod bad_input;
pub mod cli;
pub mod clients;
pub mod conformance;
pub mod crash;
pub mod crash_images;
pub mod guests;
pub mod handmade;
pub mod images;
pub mod lxc_parent;
pub mod registry;
pub mod summary;
pub mod vm;

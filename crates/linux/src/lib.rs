//! What the Linux kernel offers a container runtime, named by what it does.

pub mod capability;
pub mod procfs;
pub mod pty;
pub mod rlimit;
pub mod seccomp;
pub mod signal;
pub mod sysctl;

#[cfg(test)]
mod forked_child;

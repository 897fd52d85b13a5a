//! What the Linux kernel offers a container runtime, named by what it does. Nothing here knows of
//! containers' state, of configuration or of OCI beyond the shape of two documents (resources and
//! seccomp profiles) that are the kernel's own features in JSON.

mod bare_main;
pub mod beneath;
pub mod btrfs;
pub mod capability;
pub mod cgroup;
pub mod channel;
pub mod clone;
pub mod confine;
mod door;
pub mod exec;
pub mod filesystem_ids;
pub mod inside;
pub mod json;
pub mod landlock;
pub mod mount;
pub mod namespace;
pub mod network;
pub mod payload;
pub mod process;
pub mod procfs;
pub mod pty;
pub mod remove;
pub mod rlimit;
pub mod seal;
pub mod seccomp;
pub mod security_module;
pub mod signal;
pub mod spawn;
pub mod stand_in;
pub mod step;
mod syscall;
pub mod sysctl;
pub mod systemd;
pub mod terminal;
pub mod tree;

#[cfg(test)]
mod forked_child;

/// An error and its causes on one line, without repeating what an outer one says already.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

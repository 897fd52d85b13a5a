//! The table of targets.

mod cgroup_layout;
mod config_json;
mod config_toml;
mod container_id;
mod dbus_message;
mod file_attributes;
mod mount_options;
mod proc_cgroup;
mod proc_stat;
mod rfc3339;
mod seccomp_profile;
mod signal;
mod state_json;
mod sysctl;

use crate::broken::Outcome;

/// A parser with what must hold of it whatever it reads.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name on the command line and in the names of crashes.
    pub name: &'static str,
    /// Reads an input and states the invariants.
    pub run: fn(&[u8]) -> Outcome,
    /// The directory of its seeds below `corpus`.
    pub seeds: &'static str,
}

/// A target whose seeds are in the directory of its name.
const fn target(name: &'static str, run: fn(&[u8]) -> Outcome) -> Target {
    Target { name, run, seeds: name }
}

/// All targets, in the order in which they are driven.
pub const TARGETS: &[Target] = &[
    target("cgroup_layout", cgroup_layout::run),
    target("config_json", config_json::run),
    target("config_toml", config_toml::run),
    target("container_id", container_id::run),
    target("dbus_message", dbus_message::run),
    target("file_attributes", file_attributes::run),
    target("mount_options", mount_options::run),
    target("proc_cgroup", proc_cgroup::run),
    target("proc_stat", proc_stat::run),
    target("rfc3339", rfc3339::run),
    target("seccomp_profile", seccomp_profile::run),
    target("signal", signal::run),
    target("state_json", state_json::run),
    target("sysctl", sysctl::run),
];

//! The table of targets.

mod auth_challenge;
mod cgroup_layout;
mod config_json;
mod config_toml;
mod container_id;
mod dbus_message;
mod file_attributes;
mod image_accounts;
mod image_archive;
mod image_documents;
mod image_reference;
mod init_message;
mod layer_tar;
mod mount_options;
mod proc_cgroup;
mod proc_stat;
mod registries_conf;
mod registry_url;
mod rfc3339;
mod seccomp_file;
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
    target("auth_challenge", auth_challenge::run),
    target("cgroup_layout", cgroup_layout::run),
    target("config_json", config_json::run),
    target("config_toml", config_toml::run),
    target("container_id", container_id::run),
    target("dbus_message", dbus_message::run),
    target("image_reference", image_reference::run),
    target("image_archive", image_archive::run),
    target("image_documents", image_documents::run),
    target("image_accounts", image_accounts::run),
    target("init_message", init_message::run),
    target("layer_tar", layer_tar::run),
    target("file_attributes", file_attributes::run),
    target("mount_options", mount_options::run),
    target("proc_cgroup", proc_cgroup::run),
    target("proc_stat", proc_stat::run),
    target("registries_conf", registries_conf::run),
    target("registry_url", registry_url::run),
    target("rfc3339", rfc3339::run),
    target("seccomp_file", seccomp_file::run),
    target("seccomp_profile", seccomp_profile::run),
    target("signal", signal::run),
    target("state_json", state_json::run),
    target("sysctl", sysctl::run),
];

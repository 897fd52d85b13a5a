//! What of config.json the floor does, in the kernel's terms.

use std::path::PathBuf;

use lxcri_linux::capability;
use lxcri_linux::cgroup::DeviceRule;
use lxcri_linux::seccomp;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::verdict::Context;
use serde::Deserialize;
use serde_json::Value;

use crate::bundles::Bundle;

/// A bundle's wishes. Fields that are not here must be absent: see [`Config::read`].
#[derive(Debug)]
pub(crate) struct Config {
    pub(super) rootfs: PathBuf,
    pub(super) read_only_root: bool,
    pub(super) hostname: String,
    pub(super) clone_flags: u64,
    pub(super) cgroup_namespace: bool,
    pub(super) mounts: Vec<Mount>,
    pub(super) masked: Vec<String>,
    pub(super) read_only: Vec<String>,
    pub(super) sysctls: Vec<(String, String)>,
    pub(super) devices: Vec<DeviceRule>,
    pub(super) pids_limit: Option<i64>,
    pub(super) rlimits: Vec<(u64, u64, u64)>,
    pub(super) umask: u64,
    pub(super) seccomp: Option<seccomp::Program>,
    pub(super) no_new_privileges: bool,
    pub(super) bounding: capability::Set,
    pub(super) effective: capability::Set,
    pub(super) permitted: capability::Set,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<String>,
}

/// An entry of `mounts`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Mount {
    pub(super) destination: String,
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) source: String,
    #[serde(default)]
    pub(super) options: Vec<String>,
}

/// Every place of config.json that may be set. What follows a place that ends with `/*` is looked at
/// by name.
const KNOWN: [&str; 29] = [
    "/ociVersion",
    "/annotations/*",
    "/hostname",
    "/mounts/*",
    "/root/path",
    "/root/readonly",
    "/process/args/*",
    "/process/capabilities/bounding/*",
    "/process/capabilities/effective/*",
    "/process/capabilities/permitted/*",
    "/process/cwd",
    "/process/env/*",
    "/process/noNewPrivileges",
    "/process/rlimits/*",
    "/process/terminal",
    "/process/user/uid",
    "/process/user/gid",
    "/process/user/umask",
    "/process/user/additionalGids/*",
    "/process/oomScoreAdj",
    "/linux/cgroupsPath",
    "/linux/maskedPaths/*",
    "/linux/namespaces/*",
    "/linux/readonlyPaths/*",
    "/linux/resources/devices/*",
    "/linux/resources/pids/limit",
    "/linux/resources/unified/*",
    "/linux/seccomp/*",
    "/linux/sysctl/*",
];

impl Config {
    /// Reads the bundle's configuration, with another payload.
    ///
    /// # Errors
    /// A failure naming what this floor cannot do.
    pub(super) fn read(bundle: &Bundle, payload: &[&str]) -> Verdict<Self> {
        let config = &bundle.config;
        refuse_unknown(config, "")?;
        for (place, only) in [
            ("/process/user/uid", Value::from(0)),
            ("/process/user/gid", Value::from(0)),
            ("/process/cwd", Value::from("/")),
            ("/process/terminal", Value::from(false)),
            ("/process/oomScoreAdj", Value::Null),
            ("/process/user/additionalGids", Value::Null),
            ("/linux/resources/unified", Value::Null),
        ] {
            let found = config.pointer(place);
            ensure!(
                found.is_none_or(|value| *value == only),
                "the floor cannot do {place}: {found:?}"
            );
        }
        let (clone_flags, cgroup_namespace) = namespaces(config)?;
        let caps = |set: &str| -> Verdict<capability::Set> {
            let names: Vec<String> = list(config, &format!("/process/capabilities/{set}"))?;
            Ok(capability::parse(&names, capability::last_cap()).0)
        };
        let profile = config.pointer("/linux/seccomp").map(|profile| {
            let profile: seccomp::Profile = serde_json::from_value(profile.clone())?;
            seccomp::compile(&profile).context("linux.seccomp")
        });
        let sysctls = config.pointer("/linux/sysctl").and_then(Value::as_object);
        let sysctls = sysctls.into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Self {
            rootfs: bundle.rootfs.clone(),
            read_only_root: config.pointer("/root/readonly") == Some(&Value::from(true)),
            hostname: config.get("hostname").map(text).unwrap_or_default(),
            clone_flags,
            cgroup_namespace,
            mounts: list(config, "/mounts")?,
            masked: list(config, "/linux/maskedPaths")?,
            read_only: list(config, "/linux/readonlyPaths")?,
            sysctls: sysctls.map(|(key, value)| (key.clone(), text(value))).collect(),
            devices: list(config, "/linux/resources/devices")?,
            pids_limit: config.pointer("/linux/resources/pids/limit").and_then(Value::as_i64),
            rlimits: rlimits(config)?,
            umask: config.pointer("/process/user/umask").and_then(Value::as_u64).unwrap_or(0o022),
            seccomp: profile.transpose()?,
            no_new_privileges: config.pointer("/process/noNewPrivileges")
                == Some(&Value::from(true)),
            bounding: caps("bounding")?,
            effective: caps("effective")?,
            permitted: caps("permitted")?,
            args: payload.iter().map(|word| (*word).to_owned()).collect(),
            env: list(config, "/process/env")?,
        })
    }
}

fn refuse_unknown(value: &Value, place: &str) -> Verdict {
    let known = KNOWN.iter().any(|known| match known.strip_suffix("/*") {
        Some(whole) => place == whole,
        None => place == *known,
    });
    if known {
        return Ok(());
    }
    let members = value.as_object().context(format!("the floor does not know {place}"))?;
    members.iter().try_for_each(|(key, value)| refuse_unknown(value, &format!("{place}/{key}")))
}

/// The members of an array; none when it is absent.
fn list<T: serde::de::DeserializeOwned>(config: &Value, place: &str) -> Verdict<Vec<T>> {
    match config.pointer(place) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(list) => serde_json::from_value(list.clone()).context(place),
    }
}

/// Flags for clone3(2), and whether there is a cgroup namespace, which clone3 cannot make of a cgroup
/// that the child is only put into.
fn namespaces(config: &Value) -> Verdict<(u64, bool)> {
    let (mut flags, mut cgroup) = (0, false);
    for namespace in list::<Value>(config, "/linux/namespaces")? {
        ensure!(namespace.get("path").is_none(), "the floor joins no namespace: {namespace}");
        flags |= match namespace["type"].as_str().unwrap_or_default() {
            "pid" => libc::CLONE_NEWPID,
            "network" => libc::CLONE_NEWNET,
            "ipc" => libc::CLONE_NEWIPC,
            "uts" => libc::CLONE_NEWUTS,
            "mount" => libc::CLONE_NEWNS,
            "cgroup" => {
                cgroup = true;
                0
            }
            _ => return Err(lxcri_testkit::Stop::Failed(format!("the floor has no {namespace}"))),
        };
    }
    Ok((flags as u64, cgroup))
}

/// Number, soft and hard limit of each.
fn rlimits(config: &Value) -> Verdict<Vec<(u64, u64, u64)>> {
    let limit = |limit: &Value| {
        let number = |key: &str| limit[key].as_u64().context(format!("rlimit {limit}"));
        let kind = match limit["type"].as_str().unwrap_or_default() {
            "RLIMIT_NOFILE" => libc::RLIMIT_NOFILE,
            "RLIMIT_NPROC" => libc::RLIMIT_NPROC,
            _ => return Err(lxcri_testkit::Stop::Failed(format!("the floor has no {limit}"))),
        };
        Ok((u64::from(kind), number("soft")?, number("hard")?))
    };
    list::<Value>(config, "/process/rlimits")?.iter().map(limit).collect()
}

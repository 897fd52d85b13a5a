//! The cgroup's directories, limits and end, in every hierarchy of the view.

use std::path::Path;

use lxcri_floor::plan::Argument;
use lxcri_floor::plan::PRINTED;
use lxcri_floor::plan::Plan;
use lxcri_floor::plan::Step;
use lxcri_linux::cgroup::Access;
use lxcri_linux::cgroup::Cgroup;
use lxcri_linux::cgroup::DEFAULT_ALLOWED_DEVICES;
use lxcri_linux::cgroup::DeviceType;
use lxcri_linux::cgroup::LayoutKind;
use lxcri_linux::cgroup::device_program;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::verdict::Context;

use super::config::Config;

/// `AT_FDCWD` as system calls take it.
const HERE: u64 = libc::AT_FDCWD as u64;

/// What later steps need.
#[derive(Debug)]
pub(super) struct Cgroups {
    directories: Vec<String>,
    /// v2: the open directory.
    pub(super) clone_into: Option<Step>,
    /// v1: a pipe's two ends; the child goes on when it is in all cgroups.
    gate: Option<[Gate; 2]>,
}

/// Where the number of a pipe's end is found.
type Gate = lxcri_floor::plan::Place;

/// Makes the directories and sets the limits.
pub(super) fn make(plan: &mut Plan, config: &Config, cgroup: &Cgroup) -> Verdict<Cgroups> {
    ensure!(cgroup.kind() != LayoutKind::Hybrid, "the floor has no hybrid view");
    let paths = cgroup.directories();
    let directories: Vec<String> =
        paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    for directory in &directories {
        let path = plan.text(directory);
        plan.call(libc::SYS_mkdirat, &[HERE.into(), path.into(), 0o755.into()]);
    }
    let mut cgroups = Cgroups { directories, clone_into: None, gate: None };
    if cgroup.kind() == LayoutKind::V2 {
        let directory = cgroups.directories.first().cloned().unwrap_or_default();
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let open = open(plan, &directory, flags);
        cgroups.clone_into = Some(open);
        attach_devices(plan, config, open)?;
        if let Some(limit) = config.pids_limit {
            write(plan, &format!("{directory}/pids.max"), &limit.to_string());
        }
        return Ok(cgroups);
    }
    for hierarchy in cgroup.hierarchies() {
        let path = |file: &str| hierarchy.directory.join(file).to_string_lossy().into_owned();
        let has = |name: &str| hierarchy.controllers.iter().any(|controller| controller == name);
        if has("cpuset") {
            let parent = hierarchy.directory.parent().unwrap_or(Path::new("/"));
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let value = std::fs::read_to_string(parent.join(file)).context(file)?;
                write(plan, &path(file), value.trim());
            }
        }
        if has("pids")
            && let Some(limit) = config.pids_limit
        {
            write(plan, &path("pids.max"), &limit.to_string());
        }
        if has("devices") {
            restrict_devices(plan, config, &path("devices.deny"), &path("devices.allow"))?;
        }
    }
    let ends = plan.words(&[0, 0, 0]);
    plan.call(libc::SYS_pipe2, &[ends.into(), (libc::O_CLOEXEC as u64).into()]);
    cgroups.gate = Some([ends, ends.offset(4)]);
    Ok(cgroups)
}

impl Cgroups {
    /// v1: puts the child into each hierarchy while it is at its mounts, then lets it go on.
    pub(super) fn join(&mut self, plan: &mut Plan, child: Step) {
        let Some([_, _]) = self.gate else { return };
        let digits = plan.data(&[b' '; PRINTED]);
        plan.print(digits, child);
        for directory in &self.directories {
            let file = open(plan, &format!("{directory}/cgroup.procs"), libc::O_WRONLY);
            let size = PRINTED as u64;
            plan.call(libc::SYS_write, &[file.into(), digits.into(), size.into()]);
            plan.call(libc::SYS_close, &[file.into()]);
        }
        self.pass(plan, libc::SYS_write, 1);
    }

    /// In the child: waits until it is in all cgroups.
    pub(super) fn wait(&self, plan: &mut Plan) {
        self.pass(plan, libc::SYS_read, 0);
    }

    fn pass(&self, plan: &mut Plan, call: i64, end: usize) {
        let Some(place) = self.gate.and_then(|ends| ends.get(end).copied()) else { return };
        let end = plan.load_32(place);
        let byte = plan.data(b"x");
        plan.call(call, &[end.into(), byte.into(), 1.into()]);
    }

    /// Removes the directories.
    pub(super) fn remove(&self, plan: &mut Plan) {
        for directory in &self.directories {
            let path = plan.text(directory);
            plan.call(libc::SYS_rmdir, &[path.into()]);
        }
    }
}

/// open(2); the file stays open until execve(2) closes it.
pub(super) fn open(plan: &mut Plan, path: &str, flags: i32) -> Step {
    let path = plan.text(path);
    let flags = (flags | libc::O_CLOEXEC) as u64;
    plan.call(libc::SYS_openat, &[HERE.into(), path.into(), flags.into(), 0.into()])
}

/// Writes a whole file of the kernel's.
pub(super) fn write(plan: &mut Plan, path: &str, value: &str) {
    let file = open(plan, path, libc::O_WRONLY);
    append(plan, file, value);
    plan.call(libc::SYS_close, &[file.into()]);
}

fn append(plan: &mut Plan, file: Step, value: &str) {
    let size = value.len() as u64;
    let value = plan.text(value);
    plan.call(libc::SYS_write, &[file.into(), value.into(), size.into()]);
}

/// v1: everything is denied, then the defaults of every container are allowed.
fn restrict_devices(plan: &mut Plan, config: &Config, deny: &str, allow: &str) -> Verdict {
    let deny_all = config.devices.iter().all(|rule| {
        !rule.allow && rule.kind.is_none() && rule.major.is_none() && rule.minor.is_none()
    });
    ensure!(deny_all, "the floor cannot do these device rules: {:?}", config.devices);
    write(plan, deny, "a");
    let file = open(plan, allow, libc::O_WRONLY);
    for rule in DEFAULT_ALLOWED_DEVICES {
        let kind = if rule.kind == DeviceType::Block { 'b' } else { 'c' };
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |n| n.to_string());
        let access = if rule.access == Access::MKNOD { "m" } else { "rwm" };
        append(
            plan,
            file,
            &format!("{kind} {}:{} {access}", number(rule.major), number(rule.minor)),
        );
    }
    plan.call(libc::SYS_close, &[file.into()]);
    Ok(())
}

// linux/bpf.h
const PROG_LOAD: u64 = 5;
const PROG_ATTACH: u64 = 8;
const PROG_TYPE_CGROUP_DEVICE: u64 = 15;
const CGROUP_DEVICE: u64 = 6;
const ALLOW_MULTI: u64 = 2;

/// v2: a device program, compiled here, loaded and attached there. `union bpf_attr` of linux/bpf.h.
fn attach_devices(plan: &mut Plan, config: &Config, directory: Step) -> Verdict {
    let code = device_program(&config.devices).context("linux.resources.devices")?;
    let count = code.len() as u64 / 8;
    let (code, license) = (plan.data(&code), plan.text("Apache-2.0"));
    let attributes = plan.words(&[PROG_TYPE_CGROUP_DEVICE | count << 32, 0, 0, 0, 0, 0]);
    plan.store_64(attributes.offset(8), code);
    plan.store_64(attributes.offset(16), license);
    let command = |number: u64, attributes: Argument, size: u64| {
        [Argument::Number(number), attributes, Argument::Number(size)]
    };
    let program = plan.call(libc::SYS_bpf, &command(PROG_LOAD, attributes.into(), 48));
    let attributes = plan.words(&[0, CGROUP_DEVICE | ALLOW_MULTI << 32]);
    plan.store_32(attributes, directory);
    plan.store_32(attributes.offset(4), program);
    plan.call(libc::SYS_bpf, &command(PROG_ATTACH, attributes.into(), 16));
    Ok(())
}

//! Which controllers a configuration needs, and handing them down a v2 tree.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::convert::{set, set_unsigned};
use super::directory::Directory;
use super::error::{Error, MissingBecause, Result};
use super::resources::{Cpu, Memory, Resources};
use super::{Cgroup, Place, block_io};

/// Handed down also when no limit asks for them, because statistics and later updates need them.
const WELCOME: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

/// The controller of block I/O on v2.
const IO: &str = "io";

/// One limit and the controller that enforces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) what: String,
    pub(super) controller: String,
}

impl Need {
    fn new(what: &str, controller: &str) -> Self {
        Self { what: what.to_owned(), controller: controller.to_owned() }
    }

    pub(super) fn missing(self, place: PathBuf, why: MissingBecause) -> Error {
        Error::ControllerMissing { what: self.what, controller: self.controller, place, why }
    }
}

/// The controllers that the limits in `resources` need, without those of `unified`.
fn needs(resources: &Resources) -> Vec<Need> {
    let mut needs = Vec::new();
    if resources.memory.as_ref().is_some_and(limits_memory) {
        needs.push(Need::new("memory limit", "memory"));
    }
    if let Some(cpu) = &resources.cpu {
        if limits_cpu(cpu) {
            needs.push(Need::new("cpu limit", "cpu"));
        }
        if [&cpu.cpus, &cpu.mems].into_iter().flatten().any(|list| !list.is_empty()) {
            needs.push(Need::new("cpu set", "cpuset"));
        }
    }
    if resources.pids.as_ref().is_some_and(|pids| pids.limit.is_some()) {
        needs.push(Need::new("pids limit", "pids"));
    }
    if resources.block_io.as_ref().is_some_and(block_io::limits) {
        needs.push(Need::new("blockIO limit", IO));
    }
    needs
}

/// The name of the controller on v1.
fn name_on_v1(controller: &str) -> &str {
    if controller == IO { "blkio" } else { controller }
}

pub(super) fn limits_memory(memory: &Memory) -> bool {
    let values = [memory.limit, memory.reservation, memory.swap, memory.kernel, memory.kernel_tcp];
    values.into_iter().any(|v| set(v).is_some())
        || memory.swappiness.is_some()
        || memory.disable_oom_killer == Some(true)
        || memory.use_hierarchy.is_some()
}

pub(super) fn limits_cpu(cpu: &Cpu) -> bool {
    let times = [cpu.shares, cpu.period, cpu.realtime_period];
    times.into_iter().any(|v| set_unsigned(v).is_some())
        || [cpu.quota, cpu.realtime_runtime].into_iter().any(|v| set(v).is_some())
        || cpu.burst.is_some()
        || cpu.idle.is_some()
}

/// The controllers of the keys in `unified`, which are checked on the way. `cgroup.*` files belong
/// to the core and need none.
fn unified_needs(resources: &Resources) -> Result<Vec<Need>> {
    let mut needs = Vec::new();
    for key in resources.unified.keys() {
        let controller = unified_controller(key)?;
        if controller != "cgroup" {
            needs.push(Need::new(&format!("unified resource {key}"), controller));
        }
    }
    Ok(needs)
}

/// Checks one key of `unified` and names its controller.
fn unified_controller(key: &str) -> Result<&str> {
    let refuse =
        |reason| Err(Error::Invalid { field: "unified".into(), value: format!("{key:?}"), reason });
    if key.contains('/') || key.contains(char::is_control) || key.contains(char::is_whitespace) {
        return refuse("is not the name of one file");
    }
    // These act on processes; a limit that moves or kills somebody is no limit.
    if matches!(key, "cgroup.procs" | "cgroup.threads" | "cgroup.kill" | "cgroup.freeze") {
        return refuse("is not a resource");
    }
    match key.split_once('.') {
        Some((controller, rest)) if !controller.is_empty() && !rest.is_empty() => Ok(controller),
        _ => refuse("is not of the form `controller.file`"),
    }
}

impl Cgroup {
    /// Checks, before anything is made, that a controller is mounted for every limit. What a v2
    /// tree offers is only seen once the directory exists: [`hand_down`].
    pub(super) fn check_needs(&self, resources: &Resources) -> Result<Vec<Need>> {
        let needs = needs(resources);
        let unified = unified_needs(resources)?;
        if !self.v1.is_empty() {
            for mut need in needs {
                need.controller = name_on_v1(&need.controller).to_owned();
                if self.controller(&need.controller).is_none() {
                    return Err(need.missing(self.mounts(), MissingBecause::NotMounted));
                }
            }
            if self.v2.is_none() && !resources.unified.is_empty() {
                return Err(Error::NotOffered {
                    what: "unified",
                    reason: "there is no cgroup v2 tree on this machine",
                });
            }
            return Ok(unified);
        }
        Ok(needs.into_iter().chain(unified).collect())
    }

    /// Where the v1 hierarchies are mounted, for messages.
    fn mounts(&self) -> PathBuf {
        let parent = self.v1.first().and_then(|place| place.mount.parent());
        parent.unwrap_or(Path::new("/sys/fs/cgroup")).to_owned()
    }
}

/// Makes the controllers in `needs`, and the welcome ones as far as possible, available in the new
/// directory of a v2 tree. Usually they are already, and one read tells.
pub(super) fn hand_down(place: &Place, leaf: &Directory, needs: &[Need]) -> Result<()> {
    let present = leaf.read("cgroup.controllers")?;
    if needs.iter().all(|n| lists(&present, &n.controller))
        && WELCOME.iter().all(|w| lists(&present, w))
    {
        return Ok(());
    }
    let root = Directory::open(&place.mount)?;
    let offered = root.read("cgroup.controllers")?;
    for need in needs {
        if !lists(&offered, &need.controller) {
            return Err(need.clone().missing(place.mount.clone(), MissingBecause::NotInTree));
        }
    }
    let mut wanted: Vec<&str> = needs.iter().map(|n| n.controller.as_str()).collect();
    wanted.extend(WELCOME.iter().filter(|w| lists(&offered, w)));
    wanted.sort_unstable();
    wanted.dedup();
    wanted.retain(|name| !lists(&present, name));
    if wanted.is_empty() {
        return Ok(());
    }
    enable_along(place, root, &wanted, needs)
}

/// Writes `+controller …` into `cgroup.subtree_control` of each directory from the root of the tree
/// to the parent of the container's.
fn enable_along(place: &Place, root: Directory, wanted: &[&str], needs: &[Need]) -> Result<()> {
    let mut directory = root;
    let mut parts = place.path.split('/').peekable();
    while let Some(part) = parts.next() {
        enable(&directory, wanted, needs)?;
        if parts.peek().is_some() {
            directory = Directory::open(&directory.path().join(part))?;
        }
    }
    Ok(())
}

fn enable(directory: &Directory, wanted: &[&str], needs: &[Need]) -> Result<()> {
    const FILE: &str = "cgroup.subtree_control";
    let enabled = directory.read(FILE)?;
    let missing: Vec<&str> = wanted.iter().copied().filter(|name| !lists(&enabled, name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if directory.try_write(FILE, &plus(&missing)).is_ok() {
        return Ok(());
    }
    // One by one: a controller that cannot be had must not take the others with it.
    for name in missing {
        let Err(e) = directory.try_write(FILE, &plus(&[name])) else {
            continue;
        };
        let Some(need) = needs.iter().find(|n| n.controller == name) else {
            log::debug!(
                "{}: controller {name} is not handed down: {e}",
                directory.path().display()
            );
            continue;
        };
        let why = match e {
            Errno::BUSY | Errno::OPNOTSUPP => MissingBecause::ParentHasProcesses,
            Errno::NOENT => MissingBecause::NotHandedDown,
            e => return Err(directory.write_failed(FILE, &plus(&[name]), e)),
        };
        return Err(need.clone().missing(directory.path().to_owned(), why));
    }
    Ok(())
}

fn plus(names: &[&str]) -> String {
    let mut request = String::new();
    for name in names {
        request.push_str(if request.is_empty() { "+" } else { " +" });
        request.push_str(name);
    }
    request
}

fn lists(text: &str, name: &str) -> bool {
    text.split_ascii_whitespace().any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::super::resources::Pids;
    use super::*;

    #[test]
    fn only_what_is_set_needs_a_controller() {
        let mut resources = Resources::default();
        assert_eq!(needs(&resources), []);
        resources.memory = Some(Memory { limit: Some(0), ..Memory::default() });
        resources.cpu = Some(Cpu { cpus: Some(String::new()), ..Cpu::default() });
        resources.pids = Some(Pids::default());
        assert_eq!(needs(&resources), []);
        resources.memory = Some(Memory { swap: Some(-1), ..Memory::default() });
        resources.cpu = Some(Cpu { mems: Some("0".into()), idle: Some(0), ..Cpu::default() });
        resources.pids = Some(Pids { limit: Some(0) });
        let names: Vec<_> = needs(&resources).into_iter().map(|n| n.controller).collect();
        assert_eq!(names, ["memory", "cpu", "cpuset", "pids"]);
    }

    #[test]
    fn keys_of_unified() {
        assert_eq!(unified_controller("memory.high").unwrap(), "memory");
        assert_eq!(unified_controller("hugetlb.1GB.max").unwrap(), "hugetlb");
        assert_eq!(unified_controller("cgroup.max.depth").unwrap(), "cgroup");
        for key in [
            "",
            ".",
            "..",
            "memory",
            "memory.",
            ".max",
            "../x.y",
            "a/b.c",
            "memory.max\n",
            "a.\0",
            "a b.c",
            "cgroup.procs",
            "cgroup.kill",
            "cgroup.threads",
            "cgroup.freeze",
        ] {
            assert!(unified_controller(key).is_err(), "{key:?} was accepted");
        }
    }

    #[test]
    fn requests() {
        assert_eq!(plus(&["cpu", "memory"]), "+cpu +memory");
        assert!(lists("cpuset cpu io\n", "cpu"));
        assert!(!lists("cpuset io\n", "cpu"));
    }

    fn fake_tree(offered: &str, enabled: &str) -> (tempfile::TempDir, Place) {
        let mount = tempfile::tempdir().unwrap();
        let leaf = mount.path().join("a/ct");
        std::fs::create_dir_all(&leaf).unwrap();
        for directory in [mount.path(), &mount.path().join("a")] {
            std::fs::write(directory.join("cgroup.controllers"), offered).unwrap();
            std::fs::write(directory.join("cgroup.subtree_control"), enabled).unwrap();
        }
        std::fs::write(leaf.join("cgroup.controllers"), enabled).unwrap();
        let place =
            Place { controllers: Vec::new(), mount: mount.path().to_owned(), path: "a/ct".into() };
        (mount, place)
    }

    fn control(mount: &tempfile::TempDir, below: &str) -> String {
        std::fs::read_to_string(mount.path().join(below).join("cgroup.subtree_control")).unwrap()
    }

    #[test]
    fn controllers_are_enabled_from_the_root_to_the_parent() {
        let (mount, place) = fake_tree("cpu memory hugetlb\n", "");
        let leaf = Directory::open(&place.directory()).unwrap();
        hand_down(&place, &leaf, &[Need::new("x", "hugetlb")]).unwrap();
        assert_eq!(control(&mount, ""), "+cpu +hugetlb +memory");
        assert_eq!(control(&mount, "a"), "+cpu +hugetlb +memory");
        let missing = hand_down(&place, &leaf, &[Need::new("pids limit", "pids")]).unwrap_err();
        assert!(matches!(missing, Error::ControllerMissing { why: MissingBecause::NotInTree, .. }));
    }

    #[test]
    fn nothing_is_written_when_all_is_there() {
        let all = "cpu cpuset io memory pids\n";
        let (mount, place) = fake_tree(all, all);
        let leaf = Directory::open(&place.directory()).unwrap();
        hand_down(&place, &leaf, &[Need::new("pids limit", "pids")]).unwrap();
        assert_eq!(control(&mount, ""), all);
    }
}

//! The v2 tree: the machine's own, mounted once more at a temporary place, so that a hybrid machine
//! shows the pure v2 view.

use std::collections::BTreeMap;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::*;

struct View {
    _directory: tempfile::TempDir,
    mount: PathBuf,
    layout: Layout,
}

impl View {
    fn new(name: &str) -> Option<Self> {
        if skip(name, None) {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let point = directory.path().to_owned();
        mount("none", &point, "cgroup2", MountFlags::empty(), None).unwrap();
        let line = format!("1 0 0:1 / {} rw - cgroup2 none rw\n", point.display());
        let layout = Layout::parse(line.as_bytes(), b"0::/\n").unwrap();
        Some(Self { _directory: directory, mount: point, layout })
    }

    fn controllers(&self) -> String {
        fs::read_to_string(self.mount.join("cgroup.controllers")).unwrap()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        unmount(&self.mount, UnmountFlags::DETACH).unwrap();
    }
}

#[test]
fn detection_in_this_view() {
    let Some(view) = View::new("detection_in_this_view") else {
        return;
    };
    assert_eq!(view.layout.kind(), LayoutKind::V2);
    let made = Made::new(&view.layout, "fd", &Resources::default());
    let fd = made.0.dir_fd().unwrap().unwrap();
    let magic = rustix::fs::fstatfs(&fd).unwrap().f_type;
    assert_eq!(magic, 0x6367_7270, "not a cgroup2 directory");
    let shell = Shell::new("true");
    made.0.add(shell.pid()).unwrap();
    assert_eq!(made.0.pids().unwrap(), [shell.pid()]);
    assert_eq!(made.0.hierarchies()[0].name, "");
    assert!(made.0.v1_directories().is_empty());
    assert!(made.0.stats().unwrap().cpu.is_some());
    assert!(shell.finish());
}

#[test]
fn a_device_that_no_rule_allows_is_denied() {
    let Some(view) = View::new("a_device_that_no_rule_allows_is_denied") else {
        return;
    };
    let made = Made::new(&view.layout, "bpf", &Resources::default());
    filters_devices(&made.0);
}

#[test]
fn freezing() {
    let Some(view) = View::new("v2::freezing") else {
        return;
    };
    freezes_and_thaws(&Made::new(&view.layout, "freeze2", &Resources::default()).0);
}

#[test]
fn killing() {
    let Some(view) = View::new("v2::killing") else {
        return;
    };
    kills_a_tree(&Made::new(&view.layout, "kill2", &Resources::default()).0);
}

#[test]
fn removal() {
    let Some(view) = View::new("v2::removal") else {
        return;
    };
    removes_what_the_container_made(&Made::new(&view.layout, "remove2", &Resources::default()));
    refuses_a_busy_directory(&view.layout, "busy2");
}

#[test]
fn a_controller_that_the_tree_lacks_is_named_and_nothing_left() {
    let name = "a_controller_that_the_tree_lacks_is_named_and_nothing_left";
    let Some(view) = View::new(name) else { return };
    let cgroup = planned(&view.layout, "lacks2");
    let unified = BTreeMap::from([("nonsense.max".to_owned(), "1".to_owned())]);
    let e = cgroup.create(&Resources { unified, ..Resources::default() }).unwrap_err();
    let expected = format!(
        "unified resource nonsense.max: the cgroup controller `nonsense` is not available at {}",
        view.mount.display()
    );
    assert_eq!(e.to_string(), expected);
    assert!(e.hint().is_some());
    Made(cgroup.clone()).assert_gone();
    if !view.controllers().contains("memory") {
        let memory = Some(Memory { limit: Some(1 << 20), ..Memory::default() });
        let e = cgroup.create(&Resources { memory, ..Resources::default() }).unwrap_err();
        assert!(e.to_string().starts_with("memory limit: the cgroup controller `memory`"), "{e}");
        Made(cgroup).assert_gone();
    }
}

#[test]
fn a_controller_is_handed_down_and_unified_is_written() {
    let name = "a_controller_is_handed_down_and_unified_is_written";
    let Some(view) = View::new(name) else { return };
    let reason = "the v2 tree has no hugetlb controller";
    if !view.controllers().contains("hugetlb") {
        skip(name, Some(reason));
        return;
    }
    let control = view.mount.join("cgroup.subtree_control");
    let enabled_before = fs::read_to_string(&control).unwrap().contains("hugetlb");
    let unified = BTreeMap::from([
        ("hugetlb.2MB.max".to_owned(), "4194304".to_owned()),
        ("cgroup.max.depth".to_owned(), "3".to_owned()),
    ]);
    let resources = Resources { unified, ..Resources::default() };
    let path = format!("/lxcri-unit-{}-unified/a/ct", std::process::id());
    let cgroup = Cgroup::plan(&view.layout, Some(&path), "x").unwrap();
    let created = cgroup.create(&resources).unwrap();
    let applied = cgroup.apply(&resources);
    let read = |file| fs::read_to_string(cgroup.path().join(file)).unwrap_or_default();
    let (huge, depth) = (read("hugetlb.2MB.max"), read("cgroup.max.depth"));
    created.undo().unwrap();
    if !enabled_before {
        fs::write(&control, "-hugetlb").unwrap();
    }
    applied.unwrap();
    assert_eq!((huge.as_str(), depth.as_str()), ("4194304\n", "3\n"));
    assert!(!cgroup.path().exists());
}

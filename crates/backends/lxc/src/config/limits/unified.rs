//! `linux.resources.unified`: files of the v2 tree by name.

use std::collections::BTreeMap;

use lxcri_linux::cgroup::LayoutKind;

use super::super::file::Group;
use super::super::planner::Planner;
use super::super::problem::{Problem, Result};
use super::super::read_back::{ReadBack, Wanted};
use super::super::text;
use super::{Controller, Limit};

const FIELD: &str = "linux.resources.unified";

/// Files that act on processes: a limit that moves or kills somebody is no limit.
const NO_RESOURCES: [&str; 5] =
    ["cgroup.freeze", "cgroup.kill", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];

/// The most files of a bundle.
const FILES_MAX: usize = 256;

pub(super) fn plan(planner: &mut Planner<'_>, unified: &BTreeMap<String, String>) -> Result<()> {
    if unified.len() > FILES_MAX {
        let problem = format!("has {} files, the most is {FILES_MAX}", unified.len());
        return Err(Problem::field(FIELD, problem));
    }
    for (file, value) in unified {
        let controller = controller(file)?;
        text::check_one_line(value.as_bytes())
            .map_err(|problem| Problem::field(format!("{FIELD}.{file}"), problem))?;
        if controller == "cgroup" {
            core(planner, file, value)?;
            continue;
        }
        match planner.controller(controller) {
            Some(Controller::V2 { .. }) => {
                let (value, wanted) = (value.trim().to_owned(), wanted(file, value.trim()));
                planner.limit(Limit { field: FIELD, controller, file, value, wanted })?;
            }
            Some(Controller::V1(_)) => {
                let because = format!("the controller {controller} is on cgroup v1 here");
                planner.refuse(FIELD, because);
            }
            None => {
                let because = format!("this machine has no cgroup controller {controller}");
                planner.refuse(FIELD, because);
            }
        }
    }
    Ok(())
}

/// Checks the name of one file and names its controller.
fn controller(file: &str) -> Result<&str> {
    let wrong = |problem: &str| Err(Problem::field(FIELD, format!("{file:?} {problem}")));
    if text::check_key(&format!("lxc.cgroup2.{file}")).is_err() {
        return wrong("is not the name of one file");
    }
    if NO_RESOURCES.contains(&file) {
        return wrong("is not a resource");
    }
    match file.split_once('.') {
        // `devices` is no controller of v2 but a key of LXC's.
        Some(("devices", _)) => wrong("is not a file of cgroup v2"),
        Some((controller, rest)) if !controller.is_empty() && !rest.is_empty() => Ok(controller),
        _ => wrong("is not of the form `controller.file`"),
    }
}

/// Files of the core, which every cgroup has. liblxc reaches them in a tree of v2 alone only.
fn core(planner: &mut Planner<'_>, file: &str, value: &str) -> Result<()> {
    let tree = planner.host.cgroups.v2.clone();
    let Some(tree) = tree.filter(|_| planner.host.cgroups.kind == LayoutKind::V2) else {
        planner.refuse(FIELD, format!("LXC cannot write {file} where cgroup v1 is in use"));
        return Ok(());
    };
    planner.file.add(Group::Limits, &format!("lxc.cgroup2.{file}"), value.trim(), FIELD)?;
    planner.read_back.push(ReadBack {
        field: FIELD.to_owned(),
        mount: tree.mount,
        controller: String::new(),
        file: file.to_owned(),
        wanted: wanted(file, value.trim()),
    });
    Ok(())
}

/// What the file will show. Forms that the kernel rewrites are only read.
fn wanted(file: &str, value: &str) -> Wanted {
    if value == "max" {
        return Wanted::Unlimited;
    }
    if matches!(file, "cpuset.cpus" | "cpuset.mems") {
        return Wanted::Set(value.to_owned());
    }
    match value.parse::<u64>().ok() {
        Some(bytes) if file.starts_with("memory.") => Wanted::Bytes(bytes),
        Some(weight) if file.ends_with(".weight") => Wanted::Weight(None, weight),
        Some(_) => Wanted::Words(value.to_owned()),
        None if file == "cpu.max" => Wanted::Words(value.to_owned()),
        None => Wanted::Anything,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        for (file, name) in [("memory.max", "memory"), ("hugetlb.2MB.max", "hugetlb")] {
            assert_eq!(controller(file).unwrap(), name);
        }
        let bad = [
            "",
            "memory",
            ".max",
            "memory.",
            "a/b.c",
            "../memory.max",
            "memory.max\n",
            "a b.c",
            "cgroup.kill",
            "cgroup.procs",
            "devices.allow",
        ];
        for file in bad {
            assert!(controller(file).is_err(), "{file:?} was accepted");
        }
    }
}

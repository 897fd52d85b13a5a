//! The text of /proc/PID/cgroup. What is read is the same when written down again, and every line
//! has its entry.

use std::os::unix::ffi::OsStrExt;

use lxcri_linux::procfs::{Membership, parse_cgroups};

use crate::broken::{Outcome, holds, same};

pub(super) fn run(input: &[u8]) -> Outcome {
    let Ok(cgroups) = parse_cgroups(input) else { return Ok(()) };
    let lines = input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    same(&cgroups.len(), &lines, "a line is an entry")?;
    for cgroup in &cgroups {
        holds(cgroup.path.is_absolute(), "a path is absolute")?;
        holds(!cgroup.controllers.iter().any(String::is_empty), "a controller has a name")?;
    }
    let text: Vec<u8> = cgroups.iter().flat_map(line).collect();
    same(&parse_cgroups(&text), &Ok(cgroups), "what is read is written the same")
}

fn line(cgroup: &Membership) -> Vec<u8> {
    let head = format!("{}:{}:", cgroup.hierarchy, cgroup.controllers.join(","));
    [head.as_bytes(), cgroup.path.as_os_str().as_bytes(), b"\n"].concat()
}

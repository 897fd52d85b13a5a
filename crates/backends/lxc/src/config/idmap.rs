//! Id maps of the container, and whether its root file system shows by them.

use lxcri_core::oci::{IdMapping, NamespaceKind};

use super::file::Group;
use super::planner::Planner;
use super::problem::{Problem, Result};

/// Most ranges of a map (user_namespaces(7)).
const RANGES_MAX: usize = 340;

pub(crate) fn plan(planner: &mut Planner<'_>) -> Result<()> {
    let linux = planner.linux.clone();
    let maps =
        [("u", "uidMappings", &linux.uid_mappings), ("g", "gidMappings", &linux.gid_mappings)];
    for (letter, name, ranges) in maps {
        let field = format!("linux.{name}");
        check(ranges).map_err(|problem| Problem::field(&field, problem))?;
        for range in ranges {
            let IdMapping { container_id, host_id, size } = range;
            let value = format!("{letter} {container_id} {host_id} {size}");
            planner.file.add(Group::Ids, "lxc.idmap", &value, &field)?;
        }
        // LXC's own setup runs as root inside, and lxcri-init after it.
        let has_root = ranges.iter().any(|range| range.container_id == 0);
        if !ranges.is_empty() && !has_root {
            return Err(Problem::field(field, "LXC needs id 0 of the container to be mapped"));
        }
    }
    if planner.how.map_rootfs && planner.namespaces.is_new(NamespaceKind::User) {
        planner.file.fixed(Group::Root, "lxc.rootfs.options", "idmap=container");
    }
    Ok(())
}

/// What the kernel would answer with a bare EINVAL.
pub(crate) fn check(ranges: &[IdMapping]) -> std::result::Result<(), String> {
    if ranges.len() > RANGES_MAX {
        return Err(format!("has {} ranges, the most is {RANGES_MAX}", ranges.len()));
    }
    for (index, range) in ranges.iter().enumerate() {
        let goes_beyond = |first: u32| first.checked_add(range.size).is_none();
        if range.size == 0 {
            return Err(format!("range {index} has size 0"));
        }
        if goes_beyond(range.container_id) || goes_beyond(range.host_id) {
            return Err(format!("range {index} goes beyond the last id"));
        }
        if ranges.iter().take(index).any(|earlier| overlap(earlier, range)) {
            return Err(format!("range {index} overlaps an earlier one"));
        }
    }
    Ok(())
}

/// Whether two ranges have an id in common, inside or outside.
fn overlap(one: &IdMapping, other: &IdMapping) -> bool {
    let meet = |a: u32, b: u32| {
        let end = |first: u32, size: u32| u64::from(first) + u64::from(size);
        u64::from(a) < end(b, other.size) && u64::from(b) < end(a, one.size)
    };
    meet(one.container_id, other.container_id) || meet(one.host_id, other.host_id)
}

//! Id maps of the container, and whether its root file system shows by them.

use lxcri_core::oci::{IdMapping, NamespaceKind};

use super::file::Group;
use super::planner::Planner;
use super::problem::{Problem, Result};

pub(crate) fn plan(planner: &mut Planner<'_>) -> Result<()> {
    let linux = planner.linux.clone();
    let maps =
        [("u", "uidMappings", &linux.uid_mappings), ("g", "gidMappings", &linux.gid_mappings)];
    for (letter, name, ranges) in maps {
        let field = format!("linux.{name}");
        IdMapping::check(ranges).map_err(|problem| Problem::field(&field, problem))?;
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

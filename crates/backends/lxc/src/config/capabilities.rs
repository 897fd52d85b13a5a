//! Capabilities: LXC drops what neither the user's process nor lxcri-init may have; the sets of the
//! user's process are lxcri-init's work.

use lxcri_linux::capability::{self, Set};

use super::file::Group;
use super::inside::Capabilities;
use super::planner::Planner;
use super::problem::{Problem, Result};

pub(crate) fn plan(planner: &mut Planner<'_>) -> Result<()> {
    let process = planner.spec.process.as_ref();
    // No capabilities at all means none, as with runc.
    let wanted = process.and_then(|process| process.capabilities.clone()).unwrap_or_default();
    let bounding = known(planner, &wanted.bounding);
    planner.inside.capabilities = Capabilities {
        bounding: names(bounding),
        effective: names(known(planner, &wanted.effective)),
        inheritable: names(known(planner, &wanted.inheritable)),
        permitted: names(known(planner, &wanted.permitted)),
        ambient: names(known(planner, &wanted.ambient)),
    };
    let ours = &planner.how.init.capabilities;
    let (own, unknown) = capability::parse(ours, planner.host.last_capability);
    if let Some(name) = unknown.first() {
        let problem = format!("this kernel has no {name:?}");
        return Err(Problem::Ours { what: "the capabilities of lxcri-init", problem });
    }
    // Setting the clocks of a time namespace needs it.
    let clocks = planner.inside.time_namespace.as_ref().and(capability::number("CAP_SYS_TIME"));
    let clocks = clocks.map_or(Set::EMPTY, |bit| Set::from_bits(1 << bit));
    let keep = bounding.union(own).union(clocks);
    let words: Vec<_> = keep.iter().map(lxc_name).collect();
    let value = if words.is_empty() { "none".to_owned() } else { words.join(" ") };
    planner.file.add(Group::Rights, "lxc.cap.keep", &value, "process.capabilities.bounding")
}

/// The names that this kernel knows; the others are told, not fatal (runtime-spec, config.md).
fn known(planner: &mut Planner<'_>, list: &[String]) -> Set {
    let (set, unknown) = capability::parse(list, planner.host.last_capability);
    for name in unknown {
        planner.ignore("process.capabilities", format!("this kernel has no {name:?}"));
    }
    set
}

fn names(set: Set) -> Vec<String> {
    set.iter().map(capability::name).collect()
}

/// `CAP_SYS_ADMIN` is `sys_admin` there.
fn lxc_name(bit: u32) -> String {
    let name = capability::name(bit);
    name.strip_prefix("CAP_").unwrap_or(&name).to_ascii_lowercase()
}

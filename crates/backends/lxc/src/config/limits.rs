//! Limits of the control group. Each is written under the name that has an effect where its
//! controller is mounted, and is to be read back: liblxc leaves out what it cannot write without an
//! error where the key is for the other version.

mod blkio;
mod cpu;
mod memory;
mod unified;

use std::path::PathBuf;

use lxcri_core::oci::Resources;
use lxcri_linux::cgroup::{LayoutKind, convert};

use super::file::Group;
use super::planner::Planner;
use super::problem::{Problem, Result};
use super::read_back::{ReadBack, Wanted};

/// Where a controller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Controller {
    /// A v1 hierarchy, by its mount.
    V1(PathBuf),
    /// The v2 tree. liblxc writes its files under the keys of v1 where both exist.
    V2 { mount: PathBuf, is_hybrid: bool },
}

/// One value for one file.
pub(crate) struct Limit<'l> {
    pub(crate) field: &'l str,
    pub(crate) controller: &'l str,
    pub(crate) file: &'l str,
    pub(crate) value: String,
    pub(crate) wanted: Wanted,
}

pub(crate) fn plan(planner: &mut Planner<'_>) -> Result<()> {
    let resources = planner.linux.resources.clone().unwrap_or_default();
    others(planner, &resources)?;
    if let Some(memory) = &resources.memory {
        memory::plan(planner, memory)?;
    }
    if let Some(cpu) = &resources.cpu {
        cpu::plan(planner, cpu)?;
    }
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        pids(planner, limit)?;
    }
    if let Some(io) = &resources.block_io {
        blkio::plan(planner, io)?;
    }
    unified::plan(planner, &resources.unified)
}

fn pids(planner: &mut Planner<'_>, limit: i64) -> Result<()> {
    const FIELD: &str = "linux.resources.pids.limit";
    let value = convert::pids_max(limit);
    let wanted = Wanted::Words(value.clone());
    planner.limit(Limit { field: FIELD, controller: "pids", file: "pids.max", value, wanted })
}

/// What no test has seen applied through LXC.
fn others(planner: &mut Planner<'_>, resources: &Resources) -> Result<()> {
    const LATER: &str = "the lxc backend does not apply it yet";
    let asked = [
        ("hugepageLimits", !resources.hugepage_limits.is_empty()),
        ("network", resources.network.is_some()),
        ("rdma", !resources.rdma.is_empty()),
    ];
    for (name, is_asked) in asked {
        if is_asked {
            planner.refuse(&format!("linux.resources.{name}"), LATER);
        }
    }
    let devices = resources.rdma.keys().map(String::as_str);
    let sizes = resources.hugepage_limits.iter().map(|limit| limit.page_size.as_str());
    let network = resources.network.iter().flat_map(|network| &network.priorities);
    for name in devices.chain(sizes).chain(network.map(|priority| priority.name.as_str())) {
        super::text::check_one_line(name.as_bytes())
            .map_err(|problem| Problem::field("linux.resources", problem))?;
    }
    Ok(())
}

impl Planner<'_> {
    /// Where a controller is, by its name on v2.
    pub(crate) fn controller(&self, name: &str) -> Option<Controller> {
        let cgroups = &self.host.cgroups;
        let v1_name = if name == "io" { "blkio" } else { name };
        if let Some(hierarchy) = cgroups.v1_of(v1_name).filter(|_| cgroups.kind != LayoutKind::V2) {
            return Some(Controller::V1(hierarchy.mount.clone()));
        }
        let tree = cgroups.v2_of(name)?;
        let is_hybrid = cgroups.kind != LayoutKind::V2;
        Some(Controller::V2 { mount: tree.mount.clone(), is_hybrid })
    }

    /// Whether the controller is on a v1 hierarchy; `None`, with the field refused, where it is
    /// nowhere.
    pub(crate) fn is_v1(&mut self, field: &str, controller: &str) -> Option<bool> {
        match self.controller(controller) {
            Some(found) => Some(matches!(found, Controller::V1(_))),
            None => {
                let because = format!("this machine has no cgroup controller {controller}");
                self.refuse(field, because);
                None
            }
        }
    }

    /// Writes a limit where its controller is, and notes it for reading back.
    pub(crate) fn limit(&mut self, limit: Limit<'_>) -> Result<()> {
        let Limit { field, controller, file, value, wanted } = limit;
        if self.is_v1(field, controller).is_none() {
            return Ok(());
        }
        let Some(place) = self.controller(controller) else { return Ok(()) };
        let prefix = match &place {
            Controller::V2 { is_hybrid: false, .. } => "lxc.cgroup2",
            Controller::V1(_) | Controller::V2 { .. } => "lxc.cgroup",
        };
        self.file.add(Group::Limits, &format!("{prefix}.{file}"), &value, field)?;
        let (mount, controller) = match place {
            Controller::V1(mount) if controller == "io" => (mount, "blkio"),
            Controller::V1(mount) => (mount, controller),
            Controller::V2 { mount, .. } => (mount, ""),
        };
        self.read_back.push(ReadBack {
            field: field.to_owned(),
            mount,
            controller: controller.to_owned(),
            file: file.to_owned(),
            wanted,
        });
        Ok(())
    }
}

//! Setting limits: at creation all of them, later those that a request names.

use super::controllers::hand_down;
use super::devices::complete;
use super::directory::Directory;
use super::error::Result;
use super::resources::Resources;
use super::{Cgroup, Step, apply_v1, apply_v2, bpf, devices_v1};
use crate::step::Step as _;

impl Cgroup {
    /// Sets the limits of a new container. Its device rules are complete afterwards: what neither
    /// the configuration nor [`super::DEFAULT_ALLOWED_DEVICES`] allows is denied, also when the
    /// configuration has no rules.
    ///
    /// `hugepageLimits`, `network` and `rdma` are not looked at: the caller refuses
    /// configurations that have them.
    ///
    /// # Errors
    /// When a value is invalid, this version of cgroups has no such setting, or the kernel refuses.
    /// Limits set before the failure stay.
    pub fn apply(&self, resources: &Resources) -> Result<()> {
        self.set_limits(resources)?;
        self.set_devices(resources, true)
    }

    /// As [`Self::apply`] for a cgroup that systemd has made: makes the controllers available first,
    /// as far as systemd has not. systemd makes the v2 directory alone, and is asked for no other.
    ///
    /// # Errors
    /// As [`Self::apply`]; also when a limit's controller is missing.
    pub fn apply_to_unit(&self, resources: &Resources) -> Result<()> {
        let needs = self.check_needs(resources)?;
        if let Some(place) = &self.v2 {
            hand_down(place, &Directory::open(&place.directory())?, &needs)?;
        }
        self.apply(resources)
    }

    /// Changes the limits that `resources` names and leaves the others alone. Device rules are
    /// replaced as a whole when there are any.
    ///
    /// # Errors
    /// As [`Self::apply`]; also when a limit's controller is missing.
    pub fn update(&self, resources: &Resources) -> Result<()> {
        let needs = self.check_needs(resources)?;
        if let Some(place) = &self.v2
            && !needs.is_empty()
        {
            hand_down(place, &Directory::open(&place.directory())?, &needs)?;
        }
        self.set_limits(resources)?;
        Step::UpdateBegun.reached();
        if resources.devices.is_empty() { Ok(()) } else { self.set_devices(resources, false) }
    }

    fn set_limits(&self, resources: &Resources) -> Result<()> {
        if !self.v1.is_empty() {
            apply_v1::apply(self, resources)?;
        }
        let Some(place) = &self.v2 else { return Ok(()) };
        let limits = self.v1.is_empty() && has_limits(resources);
        if !limits && resources.unified.is_empty() {
            return Ok(());
        }
        let directory = Directory::open(&place.directory())?;
        if limits {
            apply_v2::apply(&directory, resources)?;
        }
        apply_v2::apply_unified(&directory, &resources.unified)
    }

    fn set_devices(&self, resources: &Resources, fresh: bool) -> Result<()> {
        let rules = complete(&resources.devices)?;
        if let Some(directory) = self.open_controller("devices")? {
            return devices_v1::apply(&directory, &rules, fresh);
        }
        match &self.v2 {
            Some(place) => bpf::attach_device_rules(&Directory::open(&place.directory())?, &rules),
            None => Err(super::Error::NotOffered {
                what: "devices",
                reason: "the cgroup controller `devices` is not mounted",
            }),
        }
    }
}

fn has_limits(resources: &Resources) -> bool {
    resources.memory.is_some()
        || resources.cpu.is_some()
        || resources.pids.is_some()
        || resources.block_io.is_some()
}

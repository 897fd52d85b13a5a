//! Usage, read from the container's cgroup: crun has no `events`, and the kernel says the same.

use lxcri_core::backend::{Container, Stats};
use lxcri_core::error::Error;
use lxcri_linux::cgroup::Stats as CgroupStats;

use crate::Crun;
use crate::error::CrunError;
use crate::part::Part;

impl Stats for Crun {
    fn stats(&self, container: &Container) -> Result<CgroupStats, Error> {
        let part = Part::read(&container.entry)?;
        let none = || CrunError::NoCgroup { id: container.id().to_string() };
        let cgroup = part.cgroup.ok_or_else(none)?;
        Ok(cgroup.stats().map_err(CrunError::from)?)
    }
}

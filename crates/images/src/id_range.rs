//! Which ids of a container are which ids of the host.

use serde::{Deserialize, Serialize};

/// Ids of a container that are ids of the host. Users and groups alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdRange {
    /// The first id inside of the container, which is how images have it.
    pub container: u32,
    /// The first id on the host.
    pub host: u32,
    /// How many.
    pub size: u32,
}

/// The host's id of an id of the container; `None` where no range has it, or the host has no such id.
pub(crate) fn host_id(ranges: &[IdRange], id: u32) -> Option<u32> {
    ranges.iter().find_map(|range| {
        let offset = id.checked_sub(range.container).filter(|offset| *offset < range.size)?;
        range.host.checked_add(offset).filter(|id| *id != u32::MAX)
    })
}

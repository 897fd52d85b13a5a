//! Owners shifted for a user namespace, where mounts cannot do it (mount_setattr(2),
//! `MOUNT_ATTR_IDMAP`).

use serde::{Deserialize, Serialize};

use crate::id_range::{self, IdRange};

/// How ids of the image become ids of this host. Without ranges they stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ids {
    /// For owners.
    pub uids: Vec<IdRange>,
    /// For groups.
    pub gids: Vec<IdRange>,
}

impl Ids {
    /// Whether every id stays as it is.
    pub fn is_identity(&self) -> bool {
        self.uids.is_empty() && self.gids.is_empty()
    }

    /// The host's id of an owner; `None` where it has none.
    pub(super) fn uid(&self, id: u32) -> Option<u32> {
        shifted(&self.uids, id)
    }

    /// The host's id of a group.
    pub(super) fn gid(&self, id: u32) -> Option<u32> {
        shifted(&self.gids, id)
    }
}

fn shifted(ranges: &[IdRange], id: u32) -> Option<u32> {
    if ranges.is_empty() {
        return Some(id);
    }
    id_range::host_id(ranges, id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_outside_of_all_ranges_have_none() {
        let range = |container, host, size| IdRange { container, host, size };
        let ids = Ids {
            uids: vec![range(0, 100_000, 1000), range(1000, 1000, 1)],
            gids: vec![range(0, u32::MAX - 1, 5)],
        };
        assert_eq!((ids.uid(0), ids.uid(999)), (Some(100_000), Some(100_999)));
        assert_eq!((ids.uid(1000), ids.uid(1001)), (Some(1000), None));
        assert_eq!((ids.gid(0), ids.gid(1), ids.gid(2)), (Some(u32::MAX - 1), None, None));
        assert_eq!(Ids::default().uid(7), Some(7));
    }
}

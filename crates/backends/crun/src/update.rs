//! Other resources: the program's `update`, with the document on its standard input.

use lxcri_core::backend::{Container, Update};
use lxcri_core::coverage::Finding;
use lxcri_core::error::Error;
use lxcri_linux::cgroup::{BlockIo, Resources};

use crate::{Crun, NAME};

impl Update for Crun {
    /// Only what every driven program changes in a running container gets to it: the rest they pass
    /// over, so it is refused.
    fn update(&self, container: &Container, resources: &Resources) -> Result<(), Error> {
        let fields = unchangeable(resources);
        if !fields.is_empty() {
            let finding = |field: &str| Finding {
                field: format!("linux.resources.{field}"),
                because: "cannot be changed in a running container by the driven program"
                    .to_owned(),
            };
            let findings = fields.into_iter().map(finding).collect();
            return Err(Error::Refused {
                backend: NAME,
                path: "the resources to update".into(),
                findings,
            });
        }
        let document = serde_json::to_vec(resources)
            .map_err(|error| Error::Invalid(format!("cannot write the resources: {error}")))?;
        self.about(container, &["update", "--resources", "-"], &document).map(drop)
    }
}

fn unchangeable(resources: &Resources) -> Vec<&'static str> {
    let io = resources.block_io.clone().unwrap_or_default();
    let more_than_weight = BlockIo { weight: None, ..io } != BlockIo::default();
    let table = [
        ("blockIO", more_than_weight),
        ("devices", !resources.devices.is_empty()),
        ("hugepageLimits", !resources.hugepage_limits.is_empty()),
        ("network", resources.network.is_some()),
        ("rdma", !resources.rdma.is_empty()),
        ("unified", !resources.unified.is_empty()),
    ];
    table.into_iter().filter_map(|(field, is_set)| is_set.then_some(field)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_would_be_passed_over() {
        let table = [
            (r#"{"pids": {"limit": 7}, "memory": {"limit": 1}, "cpu": {"shares": 2}}"#, vec![]),
            (r#"{"blockIO": {"weight": 100}}"#, vec![]),
            (
                r#"{"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}]}}"#,
                vec!["blockIO"],
            ),
            (r#"{"unified": {"pids.max": "7"}}"#, vec!["unified"]),
            (r#"{"devices": [{"allow": true}], "rdma": {"x": {}}}"#, vec!["devices", "rdma"]),
        ];
        for (text, wanted) in table {
            assert_eq!(unchangeable(&serde_json::from_str(text).unwrap()), wanted, "{text}");
        }
    }
}

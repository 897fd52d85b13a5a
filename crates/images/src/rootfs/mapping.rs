//! Id mappings of containers, and mounts that show files by them.

use std::io;
use std::os::fd::AsFd;

use lxcri_linux::{mount, namespace};

use super::RootfsError;
use crate::id_range::{IdRange, host_id};

/// A few more than the kernel takes (user_namespaces(7)): it is the one who says no.
const RANGES_MAX: usize = 341;

/// The ranges as the kernel's.
pub(super) fn kernel(ranges: &[IdRange]) -> Vec<namespace::IdRange> {
    let convert = |range: &IdRange| namespace::IdRange {
        inside: range.container,
        outside: range.host,
        size: range.size,
    };
    ranges.iter().take(RANGES_MAX).map(convert).collect()
}

/// What is wrong with a mapping before the kernel is asked.
pub(super) fn check(ranges: &[IdRange]) -> Result<(), RootfsError> {
    let error = |problem: &str| Err(RootfsError::Mapping { problem: problem.to_owned() });
    if ranges.is_empty() || ranges.len() >= RANGES_MAX {
        return error("it has no ranges, or more than 340");
    }
    let end = |first: u32, size: u32| u64::from(first) + u64::from(size) > u64::from(u32::MAX);
    if ranges.iter().any(|range| {
        range.size == 0 || end(range.container, range.size) || end(range.host, range.size)
    }) {
        return error("a range is empty or goes beyond the last id");
    }
    if host_id(ranges, 0).is_none() {
        return error("the container's root is not mapped");
    }
    Ok(())
}

/// Makes a detached mount show its files by `ranges`.
pub(super) fn apply(tree: impl AsFd, ranges: &[IdRange]) -> io::Result<()> {
    let ranges = kernel(ranges);
    let namespace = namespace::mapped_user_namespace(&ranges, &ranges)?;
    mount::set_id_map(tree, false, namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(container: u32, host: u32, size: u32) -> IdRange {
        IdRange { container, host, size }
    }

    #[test]
    fn checks() {
        assert!(check(&[range(0, 100_000, 65536)]).is_ok());
        assert!(check(&[range(0, 0, u32::MAX)]).is_ok());
        let many = vec![range(0, 0, 1); 341];
        for ranges in
            [&[][..], &[range(0, 0, 0)], &[range(1, 0, 5)], &[range(0, u32::MAX, 2)], &many]
        {
            assert!(check(ranges).is_err(), "{ranges:?}");
        }
        assert_eq!(host_id(&[range(5, 7, 1), range(0, 100, 5)], 4), Some(104));
    }
}

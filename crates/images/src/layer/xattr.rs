//! Extended attributes of a layer: which of them are set, and what shifted ids mean to them.
//!
//! Set are `security.capability`, `user.*` and POSIX ACLs. Dropped, and counted, are `trusted.*`
//! (overlayfs and the host keep their own affairs there), `security.selinux`, `security.ima`,
//! `security.evm` and all others of that kind (labels and signatures of another machine's policy),
//! and `user.overlay.*` where the layer becomes part of an overlay: they would make a file act as one
//! of overlayfs' own (kernel, Documentation/filesystems/overlayfs.rst).

use super::Mode;
use super::ids::Ids;

pub(super) const CAPABILITY: &[u8] = b"security.capability";
pub(super) const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
pub(super) const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";

/// Bytes of one value (`XATTR_SIZE_MAX`, linux/limits.h).
pub(super) const MAX_VALUE: usize = 64 << 10;
/// Bytes of one name (`XATTR_NAME_MAX`).
pub(super) const MAX_NAME: usize = 255;

/// Whether an attribute of a layer is set.
pub(super) fn is_kept(name: &[u8], mode: Mode) -> bool {
    match name {
        CAPABILITY | ACL_ACCESS | ACL_DEFAULT => true,
        _ if name.starts_with(b"user.overlay.") => mode == Mode::Apply,
        _ => name.starts_with(b"user.") && name.len() > 5,
    }
}

/// The value with its ids shifted; `None` where one of them has none on this host, or where it is
/// damaged.
pub(super) fn shifted(name: &[u8], value: &[u8], ids: &Ids) -> Option<Vec<u8>> {
    if ids.is_identity() {
        return Some(value.to_vec());
    }
    match name {
        CAPABILITY => shifted_capability(value, ids),
        ACL_ACCESS | ACL_DEFAULT => shifted_acl(value, ids),
        _ => Some(value.to_vec()),
    }
}

/// `struct vfs_cap_data` (linux/capability.h): revision 2 counts in the host's user namespace only;
/// revision 3 names the root of the namespace that it counts in.
fn shifted_capability(value: &[u8], ids: &Ids) -> Option<Vec<u8>> {
    const REVISION_MASK: u32 = 0xff00_0000;
    const REVISION_2: u32 = 0x0200_0000;
    const REVISION_3: u32 = 0x0300_0000;
    const LENGTH_2: usize = 20;
    let magic = word(value, 0)?;
    let root = match (magic & REVISION_MASK, value.len()) {
        (REVISION_2, LENGTH_2) => 0,
        (REVISION_3, 24) => word(value, LENGTH_2)?,
        _ => return None,
    };
    let magic = REVISION_3 | (magic & !REVISION_MASK);
    let root = ids.uid(root)?;
    Some([&magic.to_le_bytes(), &value[4..LENGTH_2], &root.to_le_bytes()].concat())
}

/// `struct posix_acl_xattr_header` and entries (linux/posix_acl_xattr.h): a version, then tag,
/// permissions and id of each.
fn shifted_acl(value: &[u8], ids: &Ids) -> Option<Vec<u8>> {
    const VERSION: u32 = 2;
    const USER: [u8; 2] = [0x02, 0];
    const GROUP: [u8; 2] = [0x08, 0];
    let entries = value.get(4..).filter(|entries| entries.len().is_multiple_of(8))?;
    if word(value, 0)? != VERSION {
        return None;
    }
    let mut result = value[..4].to_vec();
    for entry in entries.chunks_exact(8) {
        let id = word(entry, 4)?;
        let id = match [entry[0], entry[1]] {
            USER => ids.uid(id)?,
            GROUP => ids.gid(id)?,
            _ => id,
        };
        result.extend_from_slice(&entry[..4]);
        result.extend_from_slice(&id.to_le_bytes());
    }
    Some(result)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id_range::IdRange;

    fn ids() -> Ids {
        let range = |host| vec![IdRange { container: 0, host, size: 65_536 }];
        Ids { uids: range(100_000), gids: range(200_000) }
    }

    #[test]
    fn the_hosts_own_affairs_are_dropped() {
        for name in ["user.x", "security.capability", "system.posix_acl_default"] {
            assert!(is_kept(name.as_bytes(), Mode::Overlay), "{name}");
        }
        for name in [
            "trusted.overlay.opaque",
            "trusted.x",
            "user.overlay.redirect",
            "user.",
            "security.selinux",
            "security.ima",
            "security.evm",
            "system.nfs4_acl",
            "",
        ] {
            assert!(!is_kept(name.as_bytes(), Mode::Overlay), "{name}");
        }
    }

    #[test]
    fn capabilities_count_in_the_namespace_of_their_root() {
        let two = [&0x0200_0001_u32.to_le_bytes()[..], &[7; 16]].concat();
        let three = [&0x0300_0001_u32.to_le_bytes()[..], &[7; 16], &100_000_u32.to_le_bytes()];
        assert_eq!(shifted(CAPABILITY, &two, &ids()), Some(three.concat()));
        assert_eq!(shifted(CAPABILITY, &two, &Ids::default()), Some(two.clone()));
        assert_eq!(shifted(CAPABILITY, &two[..19], &ids()), None);
        assert_eq!(shifted(CAPABILITY, b"", &ids()), None);
    }

    #[test]
    fn lists_name_shifted_users_and_groups() {
        let entry =
            |tag: u16, id: u32| [&tag.to_le_bytes()[..], &[4, 0], &id.to_le_bytes()].concat();
        let acl = |entries: [Vec<u8>; 3]| [vec![2, 0, 0, 0], entries.concat()].concat();
        let value = acl([entry(1, u32::MAX), entry(2, 1000), entry(8, 50)]);
        let wanted = acl([entry(1, u32::MAX), entry(2, 101_000), entry(8, 200_050)]);
        assert_eq!(shifted(ACL_ACCESS, &value, &ids()), Some(wanted));
        let outside = acl([entry(1, 0), entry(2, 70_000), entry(8, 50)]);
        assert_eq!(shifted(ACL_ACCESS, &outside, &ids()), None);
        assert_eq!(shifted(ACL_DEFAULT, &value[..13], &ids()), None);
    }
}

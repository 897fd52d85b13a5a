//! Owners, modes, times and extended attributes.

use std::os::unix::fs::MetadataExt;

use super::*;
use crate::id_range::IdRange;

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 1024];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

fn owned(kind: u8, path: &str, mode: u32, uid: u64, gid: u64) -> tar::Header {
    let mut header = header(kind, path.as_bytes(), 0);
    header.set_mode(mode);
    header.set_uid(uid);
    header.set_gid(gid);
    header
}

/// `cap_net_raw+ep` in revision 2.
const NET_RAW: &[u8] = &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn modes_and_owners_survive_each_other() {
    let place = Place::new(Mode::Overlay);
    let archive = Tar::default()
        .raw(owned(b'5', "closed", 0o0, 7, 8), b"")
        .file("closed/inside", "x")
        .raw(owned(b'5', "group", 0o2775, 0, 50), b"")
        .file("group/inside", "x")
        .directory("group/below")
        .raw(owned(b'0', "setuid", 0o4755, 0, 0), b"")
        .raw(owned(b'0', "setuid of another", 0o6755, 1000, 2_000_000_000), b"")
        .raw(owned(b'0', "sticky", 0o1777, 0, 0), b"")
        .raw(owned(b'6', "fifo", 0o4640, 5, 6), b"")
        .raw(owned(b'5', "./", 0o1751, 3, 4), b"");
    place.unpack(&archive.end()).unwrap();
    let seen = |path: &str| {
        let meta = place.path(path).symlink_metadata().unwrap();
        (meta.mode() & 0o7777, meta.uid(), meta.gid())
    };
    assert_eq!(seen("closed"), (0, 7, 8));
    assert_eq!(seen("closed/inside"), (0o644, 0, 0));
    assert_eq!(seen("group"), (0o2775, 0, 50));
    assert_eq!(seen("group/inside"), (0o644, 0, 0));
    assert_eq!(seen("group/below"), (0o755, 0, 0));
    assert_eq!(seen("setuid"), (0o4755, 0, 0));
    assert_eq!(seen("setuid of another"), (0o6755, 1000, 2_000_000_000));
    assert_eq!(seen("sticky"), (0o1777, 0, 0));
    assert_eq!(seen("fifo"), (0o4640, 5, 6));
    assert_eq!(seen(""), (0o1751, 3, 4));
}

#[test]
fn times_to_the_nanosecond_and_directories_last() {
    let place = Place::new(Mode::Overlay);
    let archive = Tar::default()
        .pax(&[("mtime", b"1000000000.123456789"), ("atime", b"900000000.5")])
        .file("precise", "x")
        .pax(&[("mtime", b"-1.25")])
        .file("early", "x")
        .pax(&[("mtime", b"9223372036854775807")])
        .file("late", "x")
        .directory("d")
        .directory("d/e")
        .file("d/e/f", "x")
        .symlink("d/link", "nowhere")
        .file("implied/f", "x");
    place.unpack(&archive.end()).unwrap();
    let meta = |path: &str| place.path(path).symlink_metadata().unwrap();
    assert_eq!(
        (meta("precise").mtime(), meta("precise").mtime_nsec()),
        (1_000_000_000, 123_456_789)
    );
    assert_eq!((meta("precise").atime(), meta("precise").atime_nsec()), (900_000_000, 500_000_000));
    assert_eq!((meta("early").mtime(), meta("early").mtime_nsec()), (-2, 750_000_000));
    assert!(meta("late").mtime() > 4_000_000_000, "as late as the filesystem can");
    for path in ["d", "d/e", "d/e/f", "d/link"] {
        assert_eq!(meta(path).mtime(), 1_000_000_000, "{path}");
    }
    assert_eq!((meta("implied").mtime(), meta("implied").mode() & 0o7777), (0, 0o755));
}

#[test]
fn extended_attributes() {
    let place = Place::new(Mode::Overlay);
    let acl = [
        &[2, 0, 0, 0][..],
        &[1, 0, 6, 0, 255, 255, 255, 255],
        &[2, 0, 4, 0, 232, 3, 0, 0],
        &[4, 0, 4, 0, 255, 255, 255, 255],
        &[16, 0, 4, 0, 255, 255, 255, 255],
        &[32, 0, 0, 0, 255, 255, 255, 255],
    ]
    .concat();
    let archive = Tar::default()
        .pax(&[("SCHILY.xattr.security.capability", NET_RAW), ("SCHILY.xattr.user.a", b"1\n2\0")])
        .raw(owned(b'0', "ping", 0o755, 9, 9), b"")
        .pax(&[("SCHILY.xattr.system.posix_acl_default", &acl), ("SCHILY.xattr.user.d", b"")])
        .directory("d")
        .file("d/no heir", "")
        .pax(&[("SCHILY.xattr.security.selinux", b"x"), ("SCHILY.xattr.security.ima", b"x")])
        .file("foreign", "")
        .pax(&[("SCHILY.xattr.user.a", b"1")])
        .symlink("link", "x");
    let unpacked = place.unpack(&archive.end()).unwrap();
    assert_eq!(unpacked.dropped.xattrs, 3);
    assert_eq!(attribute(&place.path("ping"), "security.capability").as_deref(), Some(NET_RAW));
    assert_eq!(attribute(&place.path("ping"), "user.a").as_deref(), Some(&b"1\n2\0"[..]));
    assert_eq!(attribute(&place.path("d"), "user.d").as_deref(), Some(&b""[..]));
    let default = "system.posix_acl_default";
    assert_eq!(attribute(&place.path("d"), default), Some(acl));
    assert_eq!(attribute(&place.path("d/no heir"), "system.posix_acl_access"), None);
    assert_eq!(attribute(&place.path("foreign"), "security.selinux"), None);
}

#[test]
fn shifted_ids() {
    let mut place = Place::new(Mode::Overlay);
    let range = |host| vec![IdRange { container: 0, host, size: 65_536 }];
    place.ids = Ids { uids: range(100_000), gids: range(200_000) };
    let archive = Tar::default()
        .raw(owned(b'5', "d", 0o755, 0, 0), b"")
        .pax(&[("SCHILY.xattr.security.capability", NET_RAW)])
        .raw(owned(b'0', "d/f", 0o4755, 1000, 50), b"")
        .symlink("link", "x")
        .file("implied/x", "");
    place.unpack(&archive.end()).unwrap();
    let seen = |path: &str| {
        let meta = place.path(path).symlink_metadata().unwrap();
        (meta.uid(), meta.gid())
    };
    assert_eq!(seen("d"), (100_000, 200_000));
    assert_eq!(seen("d/f"), (101_000, 200_050));
    assert_eq!(seen("link"), (100_000, 200_000));
    assert_eq!(seen("implied"), (100_000, 200_000));
    assert_eq!(place.path("d/f").metadata().unwrap().mode() & 0o7777, 0o4755);
    let capability = attribute(&place.path("d/f"), "security.capability").unwrap();
    assert_eq!(capability[20..], 100_000_u32.to_le_bytes());
    let problem = place.refusal(&Tar::default().raw(owned(b'0', "f", 0o644, 65_536, 0), b"").end());
    assert_eq!(problem, "entry \"f\" belongs to uid 65536, which has no id on this host");
}

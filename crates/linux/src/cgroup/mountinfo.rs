//! The two texts that tell which cgroup hierarchies there are: `/proc/PID/mountinfo` and
//! `/proc/PID/cgroup`. Pure functions; formats: proc_pid_mountinfo(5), cgroups(7).

use super::error::{Error, Result};

/// One visible mount of a cgroup file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CgroupMount {
    /// The directory inside the hierarchy that is the root of this mount.
    pub(super) root: String,
    /// Where it is mounted.
    pub(super) mount_point: String,
    /// `cgroup2` if true, `cgroup` if false.
    pub(super) v2: bool,
    /// The options of the super block: for v1 they name the controllers.
    pub(super) options: Vec<String>,
}

/// One line of `/proc/PID/cgroup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnCgroup {
    /// The controllers of the hierarchy, `name=…` for a named one, empty for v2.
    pub(super) controllers: Vec<String>,
    /// The cgroup, relative to the root of the cgroup namespace.
    pub(super) path: String,
}

const MOUNTINFO: &str = "mountinfo";
const CGROUP: &str = "cgroup";

/// A mount as far as visibility needs it. The mount point stays escaped: comparing escaped paths
/// with each other is the same as comparing them unescaped.
#[derive(Clone, Copy)]
struct Place<'a> {
    id: u64,
    parent: u64,
    point: &'a [u8],
}

/// Finds all cgroup mounts that a path lookup would really reach: one that lies below a later
/// mount (an overmounted `/sys/fs/cgroup`) is listed by the kernel but cannot be used.
pub(super) fn cgroup_mounts(text: &[u8]) -> Result<Vec<CgroupMount>> {
    let mut places = Vec::new();
    let mut found = Vec::new();
    for (index, line) in lines(text) {
        let malformed = |reason| Error::Malformed { file: MOUNTINFO, line: index, reason };
        let place =
            parse_place(line).ok_or_else(|| malformed("mount id, parent or mount point"))?;
        places.push(place);
        let Some((_, tail)) = split_once(line, b" - ") else {
            return Err(malformed("no ` - ` before the file system type"));
        };
        let v2 = match tail.split(|b| *b == b' ').next() {
            Some(b"cgroup2") => true,
            Some(b"cgroup") => false,
            _ => continue,
        };
        found.push((place, parse_cgroup_mount(line, tail, v2).map_err(malformed)?));
    }
    found.retain(|(place, _)| is_visible(*place, &places));
    Ok(found.into_iter().map(|(_, mount)| mount).collect())
}

fn parse_place(line: &[u8]) -> Option<Place<'_>> {
    let mut fields = line.split(|b| *b == b' ');
    let id = parse_number(fields.next()?)?;
    let parent = parse_number(fields.next()?)?;
    let point = fields.nth(2)?;
    point.starts_with(b"/").then_some(Place { id, parent, point })
}

fn parse_number(field: &[u8]) -> Option<u64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn parse_cgroup_mount(
    line: &[u8],
    tail: &[u8],
    v2: bool,
) -> std::result::Result<CgroupMount, &'static str> {
    let mut fields = line.split(|b| *b == b' ');
    let root = fields.nth(3).ok_or("no root")?;
    let mount_point = fields.next().ok_or("no mount point")?;
    let options = tail.split(|b| *b == b' ').nth(2).ok_or("no super block options")?;
    if !root.starts_with(b"/") || !mount_point.starts_with(b"/") {
        return Err("a path is not absolute");
    }
    Ok(CgroupMount {
        root: unescape(root)?,
        mount_point: unescape(mount_point)?,
        v2,
        options: unescape(options)?.split(',').map(str::to_owned).collect(),
    })
}

/// Resolves the octal escapes (`\040` and the like) that the kernel writes for blank, tab, newline
/// and backslash.
fn unescape(field: &[u8]) -> std::result::Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        if first != b'\\' {
            bytes.push(first);
            rest = after;
            continue;
        }
        let digits = after.get(..3).ok_or("a truncated octal escape")?;
        let value = digits.iter().try_fold(0_u32, |value, digit| {
            matches!(digit, b'0'..=b'7').then(|| value * 8 + u32::from(digit - b'0'))
        });
        let byte = value.and_then(|v| u8::try_from(v).ok()).ok_or("a wrong octal escape")?;
        if byte == 0 {
            return Err("an escaped NUL");
        }
        bytes.push(byte);
        rest = &after[3..];
    }
    String::from_utf8(bytes).map_err(|_| "not UTF-8")
}

/// Whether a path lookup of the mount point ends in this mount: walks up the chain of parents and
/// looks whether a sibling, mounted higher up in the path, would catch the lookup before.
fn is_visible(mount: Place<'_>, all: &[Place<'_>]) -> bool {
    if all.iter().any(|n| n.parent == mount.id && n.id != mount.id && n.point == mount.point) {
        return false;
    }
    let mut child = mount;
    // The kernel's tree has no circles; a made-up text may have.
    for _ in 0..all.len() {
        if child.parent == child.id {
            break;
        }
        let caught = |n: &Place<'_>| {
            n.parent == child.parent && n.id != child.id && is_strictly_above(n.point, child.point)
        };
        if all.iter().any(caught) {
            return false;
        }
        let Some(parent) = all.iter().find(|n| n.id == child.parent) else {
            break;
        };
        child = *parent;
    }
    true
}

fn is_strictly_above(upper: &[u8], lower: &[u8]) -> bool {
    match lower.strip_prefix(upper) {
        Some(rest) => !rest.is_empty() && (upper == b"/" || rest.starts_with(b"/")),
        None => false,
    }
}

/// Parses `/proc/PID/cgroup`.
pub(super) fn own_cgroups(text: &[u8]) -> Result<Vec<OwnCgroup>> {
    let mut own = Vec::new();
    for (index, line) in lines(text) {
        let malformed = |reason| Error::Malformed { file: CGROUP, line: index, reason };
        let line = std::str::from_utf8(line).map_err(|_| malformed("not UTF-8"))?;
        let (id, rest) = line.split_once(':').ok_or_else(|| malformed("no hierarchy id"))?;
        let (controllers, path) =
            rest.split_once(':').ok_or_else(|| malformed("no controller list"))?;
        id.parse::<u32>().map_err(|_| malformed("the hierarchy id is not a number"))?;
        if !path.starts_with('/') {
            return Err(malformed("the cgroup is not an absolute path"));
        }
        own.push(OwnCgroup {
            controllers: controllers
                .split(',')
                .filter(|c| !c.is_empty())
                .map(str::to_owned)
                .collect(),
            path: path.to_owned(),
        });
    }
    Ok(own)
}

/// The non-empty lines with their numbers.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    text.split(|b| *b == b'\n').enumerate().map(|(i, l)| (i + 1, l)).filter(|(_, l)| !l.is_empty())
}

fn split_once<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(separator.len()).position(|w| w == separator)?;
    Some((&text[..at], &text[at + separator.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(text: &str) -> Vec<String> {
        cgroup_mounts(text.as_bytes()).unwrap().into_iter().map(|m| m.mount_point).collect()
    }

    #[test]
    fn reads_mounts_with_optional_fields_and_escapes() {
        let text = "31 23 0:28 / /sys/fs/cgroup rw shared:5 master:2 - tmpfs tmpfs rw,mode=755\n\
             32 31 0:29 /a\\040b /sys/fs/cgroup/cpu\\134x rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
             38 31 0:38 /../.. /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let mounts = cgroup_mounts(text.as_bytes()).unwrap();
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].root, "/a b");
        assert_eq!(mounts[0].mount_point, "/sys/fs/cgroup/cpu\\x");
        assert_eq!(mounts[0].options, ["rw", "cpu", "cpuacct"]);
        assert!(!mounts[0].v2);
        assert_eq!(mounts[1].root, "/../..");
        assert!(mounts[1].v2);
    }

    #[test]
    fn drops_mounts_that_another_mount_hides() {
        // A tmpfs on top of the old tree, with one hierarchy bound into it again.
        let text = "1 0 8:1 / / rw - ext4 /dev/root rw\n\
             31 1 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
             32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
             38 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
             50 31 0:50 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
             51 50 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        assert_eq!(points(text), ["/sys/fs/cgroup/cpu"]);
        // Stacked on the very same point: only the upper one counts.
        let text = "1 0 8:1 / / rw - ext4 /dev/root rw\n\
             32 1 0:29 / /cg rw - cgroup cgroup rw,cpu\n\
             33 32 0:30 / /cg rw - cgroup2 cgroup2 rw\n";
        let mounts = cgroup_mounts(text.as_bytes()).unwrap();
        assert_eq!(mounts.len(), 1);
        assert!(mounts[0].v2);
        // A mount whose path only looks like a parent hides nothing.
        let text = "1 0 8:1 / / rw - ext4 /dev/root rw\n\
             32 1 0:29 / /cgroup rw - cgroup cgroup rw,cpu\n\
             33 1 0:30 / /cg rw - tmpfs tmpfs rw\n";
        assert_eq!(points(text), ["/cgroup"]);
    }

    #[test]
    fn circles_in_made_up_parents_end() {
        let text = "1 2 0:1 / /a rw - tmpfs t rw\n2 1 0:2 / /a/b rw - cgroup2 c rw\n";
        assert_eq!(points(text), ["/a/b"]);
        assert_eq!(points("1 1 0:1 / /a rw - cgroup2 c rw\n"), ["/a"]);
    }

    #[test]
    fn refuses_malformed_mountinfo() {
        for text in [
            "x 23 0:28 / /a rw - cgroup2 c rw",
            "31",
            "31 23",
            "31 23 0:28 / relative rw - cgroup2 c rw",
            "31 23 0:28 / /a rw cgroup2 c rw",
            "31 23 0:28 / /a rw - cgroup2 c",
            "31 23 0:28 / /a\\04 rw - cgroup2 c rw",
            "31 23 0:28 / /a\\0 rw - cgroup2 c rw",
            "31 23 0:28 / /a\\999 rw - cgroup2 c rw",
            "31 23 0:28 / /a\\777 rw - cgroup2 c rw",
            "31 23 0:28 /\\000 /a rw - cgroup2 c rw",
            "31 23 0:28 / /a\\377 rw - cgroup2 c rw",
            "99999999999999999999999 23 0:28 / /a rw - cgroup2 c rw",
        ] {
            assert!(cgroup_mounts(text.as_bytes()).is_err(), "{text:?} was accepted");
        }
        // Bytes that are no UTF-8 only matter in lines about cgroups.
        assert_eq!(cgroup_mounts(b"1 0 0:1 / /\xff rw - tmpfs t rw\n").unwrap(), []);
    }

    #[test]
    fn reads_own_cgroups() {
        let own = own_cgroups(b"9:name=systemd:/\n2:cpu,cpuacct:/a:b\n0::/x (deleted)\n").unwrap();
        assert_eq!(own[0].controllers, ["name=systemd"]);
        assert_eq!(own[1].controllers, ["cpu", "cpuacct"]);
        assert_eq!(own[1].path, "/a:b");
        assert!(own[2].controllers.is_empty());
        for text in ["9", "9:cpu", "x:cpu:/", "9:cpu:relative", ":::/", "-1:cpu:/"] {
            assert!(own_cgroups(text.as_bytes()).is_err(), "{text:?} was accepted");
        }
        assert!(own_cgroups(b"0::/\xff").is_err());
    }
}

//! Which filesystem a path lies on, for messages that name it.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags};

/// The type of the filesystem at `path` (final symlinks followed), such as `ext4`, as mountinfo of
/// this mount namespace has it (proc_pid_mountinfo(5)).
///
/// # Errors
/// As statx(2); `NotFound` where the kernel does not say which mount it is, or lists it nowhere.
pub fn filesystem_at(path: &Path) -> io::Result<String> {
    let found = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID)?;
    if found.stx_mask & StatxFlags::MNT_ID.bits() == 0 {
        return Err(io::ErrorKind::NotFound.into());
    }
    let file = std::fs::File::open("/proc/self/mountinfo")?;
    find(BufReader::new(file), found.stx_mnt_id)
}

fn find(mountinfo: impl BufRead, id: u64) -> io::Result<String> {
    let id = format!("{id} ");
    for line in mountinfo.split(b'\n') {
        let line = line?;
        if !line.starts_with(id.as_bytes()) {
            continue;
        }
        // No field before the dash has a space in it: the kernel escapes them.
        let line = String::from_utf8_lossy(&line);
        let kind = line.split_once(" - ").and_then(|(_, tail)| tail.split(' ').next());
        return kind.map(str::to_owned).ok_or_else(|| io::ErrorKind::InvalidData.into());
    }
    Err(io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_this_host() {
        assert_eq!(filesystem_at(Path::new("/proc/self/status")).unwrap(), "proc");
        assert_eq!(
            filesystem_at(Path::new("/proc/self/exe")).unwrap(),
            filesystem_at(&std::env::current_exe().unwrap()).unwrap()
        );
        let missing = filesystem_at(Path::new("/proc/none")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn of_hostile_text() {
        let text = b"12 1 0:1 / /a\\040b rw shared:1 - tmpfs tmpfs rw\n1 0 8:1 / / rw - \n2\n3 0\n";
        assert_eq!(find(&text[..], 12).unwrap(), "tmpfs");
        assert_eq!(find(&text[..], 3).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(find(&text[..], 2).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(
            find(&b"3 0 0:1 / / rw\n"[..], 3).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        assert_eq!(find(&b""[..], 1).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

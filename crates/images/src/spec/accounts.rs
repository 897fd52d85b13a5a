//! Users and groups by the image's own passwd(5) and group(5): files of strangers, so they are
//! regular, bounded, and never looked for outside of the root.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::Path;

use lxcri_linux::beneath::Root;
use rustix::fs::{FileType, Mode, OFlags};

use super::error::SpecError;

/// The most bytes of either file.
pub const MAX_ACCOUNTS: u64 = 1 << 20;

/// The largest id (Docker's bound: ids are signed 32-bit numbers to many programs).
const MAX_ID: u32 = i32::MAX.cast_unsigned();

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// One line of passwd(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswdEntry {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// First group.
    pub gid: u32,
    /// Home directory, absolute and without control characters, or empty.
    pub home: String,
}

/// One line of group(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupEntry {
    /// Name.
    pub name: String,
    /// Group id.
    pub gid: u32,
    /// Users who have it as a further group.
    pub members: Vec<String>,
}

/// Reads the lines that make sense; others are passed over, as libc does.
pub fn parse_passwd(text: &[u8]) -> Vec<PasswdEntry> {
    let entry = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, rest @ ..] = fields.as_slice() else { return None };
        let home = rest.get(1).copied().unwrap_or_default();
        let sound = home.starts_with('/') && !home.contains(char::is_control);
        Some(PasswdEntry {
            name: plain_name(name)?,
            uid: number(uid)?,
            gid: number(gid)?,
            home: if sound { home.to_owned() } else { String::new() },
        })
    };
    lines(text).filter_map(|line| entry(&line)).collect()
}

/// Reads the lines that make sense.
pub fn parse_group(text: &[u8]) -> Vec<GroupEntry> {
    let entry = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, gid, rest @ ..] = fields.as_slice() else { return None };
        let members = rest.first().copied().unwrap_or_default();
        Some(GroupEntry {
            name: plain_name(name)?,
            gid: number(gid)?,
            members: members.split(',').filter_map(plain_name).collect(),
        })
    };
    lines(text).filter_map(|line| entry(&line)).collect()
}

fn lines(text: &[u8]) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
    text.split(|byte| *byte == b'\n').map(String::from_utf8_lossy)
}

fn plain_name(text: &str) -> Option<String> {
    let name = text.trim();
    (!name.is_empty() && !name.contains(char::is_control)).then(|| name.to_owned())
}

/// A number of digits alone, in the range of ids.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?.filter(|id| *id <= MAX_ID)
}

/// Who the container's program is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Further groups, the first group among them (CVE-2022-36109).
    pub(super) groups: Vec<u32>,
    /// Home directory, where passwd has one.
    pub(super) home: Option<String>,
}

/// The image's accounts, read when they are asked for.
#[derive(Debug)]
pub(super) struct Accounts<'r> {
    root: &'r Root,
}

impl<'r> Accounts<'r> {
    pub(super) fn new(root: &'r Root) -> Self {
        Self { root }
    }

    /// Resolves `user[:group]` and further groups as Docker does. Numbers need no entry; names do.
    pub(super) fn resolve(&self, wanted: &str, further: &[String]) -> Result<Identity, SpecError> {
        let (user, group) = wanted.split_once(':').unwrap_or((wanted, ""));
        let entry = self.user(user)?;
        let uid = match &entry {
            Some(entry) => entry.uid,
            None if user.is_empty() => 0,
            None => id("user", user)?.ok_or_else(|| SpecError::UnknownUser(user.to_owned()))?,
        };
        let mut identity = Identity { uid, ..Identity::default() };
        if group.is_empty() {
            if let Some(entry) = &entry {
                identity.gid = entry.gid;
                identity.groups = self.groups_of(&entry.name)?;
            }
        } else {
            identity.gid = self.group(group)?;
        }
        identity.groups.insert(0, identity.gid);
        for group in further {
            identity.groups.push(self.group(group)?);
        }
        let mut seen = std::collections::BTreeSet::new();
        identity.groups.retain(|gid| seen.insert(*gid));
        identity.home = entry.map(|entry| entry.home).filter(|home| !home.is_empty());
        Ok(identity)
    }

    /// The entry of a name or number; the first that fits, as with Docker.
    fn user(&self, user: &str) -> Result<Option<PasswdEntry>, SpecError> {
        let uid = if user.is_empty() { Some(0) } else { number(user) };
        let text = self.read(PASSWD, uid.is_none())?;
        let fits = |entry: &PasswdEntry| {
            (entry.name == user && !user.is_empty()) || Some(entry.uid) == uid
        };
        Ok(parse_passwd(&text).into_iter().find(fits))
    }

    fn group(&self, group: &str) -> Result<u32, SpecError> {
        let gid = number(group);
        let text = self.read(GROUP, gid.is_none())?;
        let found = parse_group(&text).into_iter().find(|entry| entry.name == group);
        match found.map(|entry| entry.gid).or(gid) {
            Some(gid) => Ok(gid),
            None => id("group", group)?.ok_or_else(|| SpecError::UnknownGroup(group.to_owned())),
        }
    }

    fn groups_of(&self, user: &str) -> Result<Vec<u32>, SpecError> {
        let text = self.read(GROUP, false)?;
        let is_member = |entry: &GroupEntry| entry.members.iter().any(|member| member == user);
        Ok(parse_group(&text).into_iter().filter(is_member).map(|entry| entry.gid).collect())
    }

    /// The file's text, empty where there is none. One that cannot be used is an error only where
    /// a name has to be looked up in it.
    fn read(&self, path: &'static str, needed: bool) -> Result<Vec<u8>, SpecError> {
        match read(self.root, Path::new(path), MAX_ACCOUNTS) {
            Ok(text) => Ok(text),
            Err(problem) if needed => Err(SpecError::ImageFile { path, problem }),
            Err(problem) => {
                log::warn!("the image's {path} is left out of account: {problem}");
                Ok(Vec::new())
            }
        }
    }
}

/// A number that is out of range is told as such; anything else was meant as a name.
fn id(what: &'static str, text: &str) -> Result<Option<u32>, SpecError> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let numeric = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match number(text) {
        Some(id) => Ok(Some(id)),
        None if numeric => Err(SpecError::IdRange { what, id: text.to_owned() }),
        None => Ok(None),
    }
}

/// Reads a regular file below the root. It is held by a descriptor that opens nothing (`O_PATH`)
/// until its kind is known: opening a FIFO waits, opening a device may do anything.
fn read(root: &Root, path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let found = match root.open_existing(path, OFlags::PATH) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| error.to_string())?,
    };
    let stat = rustix::fs::fstat(&found).map_err(|error| error.to_string())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err("is no regular file".to_owned());
    }
    let again = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::open(again, flags, Mode::empty()).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    std::fs::File::from(file)
        .take(limit + 1)
        .read_to_end(&mut text)
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > limit {
        return Err(format!("is larger than {} KiB", limit >> 10));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;

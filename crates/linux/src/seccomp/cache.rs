//! Compiled programs kept on disk.
//!
//! Whoever can change an entry can switch a container's sandbox off, so the rules are:
//! - An entry counts only if its directory and file belong to our effective user, neither can be
//!   written by group or others (an ACL that grants more shows in the group bits), and the file is
//!   a regular one with a single name. Everything is opened without following links and judged by
//!   descriptor, so what was judged is what is read.
//! - An entry names the profile it was made for by hash, inside and in its file name: one profile's
//!   program under another's name is refused. A checksum over all of it finds corruption and half
//!   written files. It is no defence against a forger; the ownership rule is.
//! - Whatever is wrong, the profile is compiled as if there were no cache, and the entry replaced.
//! - The flags are never taken from an entry.
//!
//! The caller chooses a directory below one that only root (or the rootless user) can write, such
//! as its state directory, and calls this before it enters anything of the container's.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use libseccomp::{ScmpArch, ScmpVersion, get_api};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::Error;
use super::compile::{compile, kernel_flags};
use super::profile::{Argument, Profile, Rule};
use super::program::{INSTRUCTION_SIZE, MAX_INSTRUCTIONS, Program};

/// First bytes of an entry. The number changes with the layout of an entry, with the encoding of
/// the key and with anything in `compile` that changes its result.
const MAGIC: &[u8; 16] = b"lxcri seccomp 1\n";
const HASH_SIZE: usize = 32;
const HEADER_SIZE: usize = MAGIC.len() + HASH_SIZE;
const LARGEST: usize = HEADER_SIZE + MAX_INSTRUCTIONS * INSTRUCTION_SIZE + HASH_SIZE;

/// End of the file name of an entry.
const SUFFIX: &str = ".bpf";
/// Entries kept. Who may choose profiles may choose many; a cache on tmpfs must not eat memory.
const MOST_ENTRIES: usize = 256;

type Hash = [u8; HASH_SIZE];

/// As [`compile`], but keeps the program in `dir`, which is made (mode 0700) where it is missing.
///
/// # Errors
/// Only those of [`compile`]. A cache that cannot be read, trusted or written is a debug message.
pub fn compile_cached(profile: &Profile, dir: &Path) -> Result<Program, Error> {
    let flags = kernel_flags(profile)?;
    let Some(key) = key(profile) else {
        return compile(profile);
    };
    let cache = match open_dir(dir) {
        Ok(cache) => cache,
        Err(error) => {
            log::debug!("seccomp cache {} is not used: {error}", dir.display());
            return compile(profile);
        }
    };
    let name = file_name(&key);
    match read_entry(cache.as_fd(), &name, &key) {
        Ok(Some(instructions)) => match Program::new(instructions, flags) {
            Ok(program) => return Ok(program),
            Err(error) => log::debug!("seccomp cache entry {name} is ignored: {error}"),
        },
        Ok(None) => {}
        Err(error) => log::debug!("seccomp cache entry {name} is ignored: {error}"),
    }
    let program = compile(profile)?;
    if let Err(error) = write_entry(cache.as_fd(), &name, &key, &program.instructions) {
        log::debug!("seccomp cache entry {name} is not written: {error}");
    }
    Ok(program)
}

/// Hash of everything that decides the instructions; `None` where libseccomp hides its version.
fn key(profile: &Profile) -> Option<Hash> {
    let version = ScmpVersion::current().ok()?;
    let mut hasher = Sha256::new();
    hasher.update(MAGIC);
    text(&mut hasher, env!("CARGO_PKG_VERSION"));
    text(&mut hasher, &format!("{:?}", ScmpArch::native()));
    text(&mut hasher, &format!("{}.{}.{}", version.major, version.minor, version.micro));
    // The level stands for what the running kernel can do.
    number(&mut hasher, get_api().into());
    encode(&mut hasher, profile);
    Some(hasher.finalize().into())
}

/// Unambiguous encoding: lengths before texts and lists. The patterns name every field, so that a
/// new one does not compile until somebody has decided about it here.
fn encode(hasher: &mut Sha256, profile: &Profile) {
    let Profile {
        default_action,
        default_errno_ret,
        architectures,
        flags: _, // read anew on every load, see `kernel_flags`
        listener_path,
        listener_metadata,
        syscalls,
    } = profile;
    text(hasher, default_action);
    optional(hasher, *default_errno_ret);
    texts(hasher, architectures);
    text(hasher, listener_path.as_deref().unwrap_or_default());
    text(hasher, listener_metadata.as_deref().unwrap_or_default());
    number(hasher, syscalls.len() as u64);
    for Rule { names, action, errno_ret, args } in syscalls {
        texts(hasher, names);
        text(hasher, action);
        optional(hasher, *errno_ret);
        number(hasher, args.len() as u64);
        for Argument { index, value, value_two, op } in args {
            number(hasher, u64::from(*index));
            number(hasher, *value);
            number(hasher, *value_two);
            text(hasher, op);
        }
    }
}

fn number(hasher: &mut Sha256, value: u64) {
    hasher.update(value.to_le_bytes());
}

fn optional(hasher: &mut Sha256, value: Option<u32>) {
    number(hasher, value.map_or(u64::MAX, u64::from));
}

fn text(hasher: &mut Sha256, value: &str) {
    number(hasher, value.len() as u64);
    hasher.update(value.as_bytes());
}

fn texts(hasher: &mut Sha256, values: &[String]) {
    number(hasher, values.len() as u64);
    for value in values {
        text(hasher, value);
    }
}

fn file_name(key: &Hash) -> String {
    key.iter().fold(String::with_capacity(2 * HASH_SIZE + SUFFIX.len()), |mut name, byte| {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
        name
    }) + SUFFIX
}

fn open_dir(dir: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match fs::open(dir, flags, Mode::empty()) {
        Err(Errno::NOENT) => {
            match fs::mkdir(dir, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            fs::open(dir, flags, Mode::empty())?
        }
        other => other?,
    };
    trust(&fs::fstat(&opened)?)?;
    Ok(opened)
}

/// Whether nobody but us (and root) can have written the file or directory.
fn trust(stat: &Stat) -> io::Result<()> {
    let owner = rustix::process::geteuid().as_raw();
    if stat.st_uid != owner {
        return Err(io::Error::other(format!("it belongs to uid {}, not {owner}", stat.st_uid)));
    }
    if stat.st_mode & 0o022 != 0 {
        let mode = stat.st_mode & 0o7777;
        return Err(io::Error::other(format!("others may write it (mode {mode:04o})")));
    }
    Ok(())
}

/// The instructions of an entry that is there and good; `None` where there is none.
fn read_entry(dir: BorrowedFd<'_>, name: &str, key: &Hash) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match fs::openat(dir, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        other => other?,
    };
    let stat = fs::fstat(&file)?;
    trust(&stat)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink != 1 {
        return Err(io::Error::other("it is not a regular file with one name"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(stat.st_size).unwrap_or(0).min(LARGEST) + 1);
    File::from(file).take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    parse_entry(&bytes, key)
        .map(|instructions| Some(instructions.to_vec()))
        .map_err(io::Error::other)
}

/// Takes an entry apart: magic, key, instructions, SHA-256 of all before it.
fn parse_entry<'a>(bytes: &'a [u8], key: &Hash) -> Result<&'a [u8], &'static str> {
    if bytes.len() > LARGEST {
        return Err("it is too large");
    }
    let (content, checksum) =
        bytes.split_last_chunk::<HASH_SIZE>().ok_or("it is shorter than a checksum")?;
    if Hash::from(Sha256::digest(content)) != *checksum {
        return Err("its checksum is wrong");
    }
    let rest = content.strip_prefix(MAGIC).ok_or("it has another format")?;
    rest.strip_prefix(key).ok_or("it was made for another profile")
}

fn format_entry(key: &Hash, instructions: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_SIZE + instructions.len() + HASH_SIZE);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(instructions);
    let checksum = Hash::from(Sha256::digest(&bytes));
    bytes.extend_from_slice(&checksum);
    bytes
}

/// Writes an entry so that a reader sees all of it or none of it.
fn write_entry(dir: BorrowedFd<'_>, name: &str, key: &Hash, instructions: &[u8]) -> io::Result<()> {
    make_room(dir)?;
    // Unique among processes that live at the same time; a leftover of a dead one is replaced.
    let temporary = format!(".{}.{}", rustix::thread::gettid().as_raw_nonzero(), name);
    match fs::unlinkat(dir, &temporary, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = fs::openat(dir, &temporary, flags, Mode::RUSR | Mode::WUSR)?;
    let written = File::from(file)
        .write_all(&format_entry(key, instructions))
        .and_then(|()| Ok(fs::renameat(dir, &temporary, dir, name)?));
    if written.is_err() {
        // The first failure is the one to report.
        let _ = fs::unlinkat(dir, &temporary, AtFlags::empty());
    }
    written
}

/// Empties a full cache, leftovers included. Simpler than an order of age, and rare.
fn make_room(dir: BorrowedFd<'_>) -> io::Result<()> {
    let mut entries = Vec::new();
    for entry in fs::Dir::read_from(dir)? {
        let name = entry?.file_name().to_owned();
        if name.to_bytes().ends_with(SUFFIX.as_bytes()) {
            entries.push(name);
        }
    }
    if entries.len() < MOST_ENTRIES {
        return Ok(());
    }
    log::debug!("seccomp cache has {} entries and is emptied", entries.len());
    for name in entries {
        match fs::unlinkat(dir, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

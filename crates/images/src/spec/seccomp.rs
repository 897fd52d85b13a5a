//! The filter of system calls: Docker's default rules, made for the container's capabilities and
//! this machine, or a profile of the user's.

mod file;
mod table;

use std::io::Read;
use std::path::Path;

use lxcri_linux::seccomp::{Argument, Profile, Rule};

pub use file::parse as parse_file;

use super::error::SpecError;
use table::{ALWAYS, ARCHITECTURES, BY_ARCHITECTURE, BY_CAPABILITY, NAMESPACE_FLAGS, PERSONAS};

/// What is refused looks like a lack of rights.
const EPERM: u32 = 1;

/// What a program takes for an old kernel: then libc falls back on clone(2), whose flags can be
/// judged.
const ENOSYS: u32 = 38;

const ALLOW: &str = "SCMP_ACT_ALLOW";
const ERRNO: &str = "SCMP_ACT_ERRNO";

/// For whom a profile is made.
#[derive(Clone, Copy, Debug)]
pub struct Target<'t> {
    /// The container's capabilities.
    pub capabilities: &'t [String],
    /// The machine, by Rust's name (`std::env::consts::ARCH`).
    pub architecture: &'t str,
    /// Major and minor number of the kernel.
    pub kernel: (u32, u32),
}

/// Docker's default rules: what is not on a list is refused.
pub(super) fn default(target: Target<'_>) -> Profile {
    let has = |name: &str| target.capabilities.iter().any(|held| held == name);
    let mut names: Vec<&str> = ALWAYS.iter().flat_map(|group| group.iter().copied()).collect();
    for (architectures, calls) in BY_ARCHITECTURE {
        if architectures.contains(&target.architecture) {
            names.extend(*calls);
        }
    }
    for (capability, calls) in BY_CAPABILITY {
        if has(capability) {
            names.extend(*calls);
        }
    }
    names.sort_unstable();
    names.dedup();
    let mut rules = vec![allow(names, Vec::new())];
    rules.extend(socket_rules());
    rules.extend(PERSONAS.map(|persona| allow(["personality"], vec![equal(0, persona)])));
    if !has("CAP_SYS_ADMIN") {
        rules.extend(clone_rules(target.architecture));
    }
    let architectures = ARCHITECTURES.iter().find(|(name, _)| *name == target.architecture);
    Profile {
        default_action: ERRNO.to_owned(),
        default_errno_ret: Some(EPERM),
        architectures: architectures.map(|(_, names)| strings(names)).unwrap_or_default(),
        syscalls: rules,
        ..Profile::default()
    }
}

/// A profile of the user's.
pub(super) fn read_file(path: &Path, target: Target<'_>) -> Result<Profile, SpecError> {
    let metadata = std::fs::metadata(path).map_err(SpecError::io("read seccomp profile", path))?;
    let wrong = |problem: String| {
        let shown = super::error::shown(path);
        SpecError::option("--security-opt", format!("seccomp profile {shown}: {problem}"))
    };
    // Opening anything else may wait for ever.
    if !metadata.is_file() || metadata.len() > file::MAX_PROFILE {
        let bound = file::MAX_PROFILE >> 20;
        return Err(wrong(format!("is no regular file of at most {bound} MiB")));
    }
    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(file::MAX_PROFILE).read_to_end(&mut text))
        .map_err(SpecError::io("read seccomp profile", path))?;
    parse_file(&text, target).map_err(wrong)
}

/// Sockets of every family but two: the kernel's crypto interface (AF_ALG) is a large surface that
/// containers have no use for, and AF_VSOCK reaches virtual machines past every network namespace.
fn socket_rules() -> [Rule; 3] {
    let family = |op: &str, value| allow(["socket"], vec![compare(op, 0, value)]);
    [family("SCMP_CMP_LT", AF_ALG), family("SCMP_CMP_EQ", 39), family("SCMP_CMP_GT", AF_VSOCK)]
}

/// Numbers of address families (include/linux/socket.h); 39 is AF_NFC, between the two.
const AF_ALG: u64 = 38;
const AF_VSOCK: u64 = 40;

/// New processes and threads, but no new namespaces. clone3(2) keeps its flags in memory, where a
/// filter cannot read them. On s390 the flags are the second argument (clone(2)).
fn clone_rules(architecture: &str) -> [Rule; 2] {
    let index = u32::from(architecture.starts_with("s390"));
    let condition = compare("SCMP_CMP_MASKED_EQ", index, NAMESPACE_FLAGS);
    let unknown = Rule {
        names: strings(&["clone3"]),
        action: ERRNO.to_owned(),
        errno_ret: Some(ENOSYS),
        args: Vec::new(),
    };
    [allow(["clone"], vec![condition]), unknown]
}

fn allow<'n>(names: impl IntoIterator<Item = &'n str>, args: Vec<Argument>) -> Rule {
    let names = names.into_iter().map(str::to_owned).collect();
    Rule { names, action: ALLOW.to_owned(), errno_ret: None, args }
}

fn equal(index: u32, value: u64) -> Argument {
    compare("SCMP_CMP_EQ", index, value)
}

fn compare(op: &str, index: u32, value: u64) -> Argument {
    Argument { index, value, value_two: 0, op: op.to_owned() }
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests;

//! From a profile to BPF, by libseccomp.

use std::fs::File;
use std::io::{Read, Seek};

use libseccomp::error::SeccompError;
use libseccomp::{ScmpAction, ScmpArgCompare, ScmpFilterContext, ScmpSyscall};
use rustix::fs::{MemfdFlags, memfd_create};

use super::names;
use super::profile::{Argument, Profile, Rule};
use super::program::Program;
use super::{Error, supported};

/// Arguments that a system call has.
const ARGUMENTS: usize = 6;

/// Rules above which a binary tree beats a list. libseccomp puts four system calls on each leaf,
/// and up to 2.5.4 it fails on a tree without any rule.
const TREE_FROM: usize = 32;

/// Compiles `profile`. Names of system calls that libseccomp does not know are skipped, as a
/// profile is written for newer kernels too; they are in [`Program::unknown_syscalls`].
///
/// # Errors
/// Anything wrong with the profile, named; [`Error::NotSupported`] for `SCMP_ACT_NOTIFY`.
pub fn compile(profile: &Profile) -> Result<Program, Error> {
    let flags = kernel_flags(profile)?;
    let (instructions, unknown) = instructions(profile)?;
    let mut program = Program::new(instructions, flags)?;
    program.unknown_syscalls = unknown;
    Ok(program)
}

/// The flags for the kernel. Not part of a cached program: they depend on the running kernel.
///
/// A profile without `flags` gets SPEC_ALLOW where the kernel has it, as with runc. It keeps the
/// processes of a container from paying for a mitigation that kernels from 5.16 on leave off.
pub(super) fn kernel_flags(profile: &Profile) -> Result<u32, Error> {
    let Some(flags) = &profile.flags else {
        let available = supported::flag_available(names::SPEC_ALLOW);
        return Ok(if available { names::SPEC_ALLOW } else { 0 });
    };
    let bits = flags.iter().try_fold(0, |bits, name| Ok(bits | names::flag(name)?))?;
    // It says how a task waits for a listener. Without one nothing waits, and the kernel refuses it.
    Ok(bits & !names::WAIT_KILLABLE_RECV)
}

fn instructions(profile: &Profile) -> Result<(Vec<u8>, Vec<String>), Error> {
    refuse_listener(profile)?;
    let default =
        names::action(&profile.default_action, profile.default_errno_ret, "defaultAction")?;
    let mut filter = ScmpFilterContext::new(default).map_err(library("create a filter"))?;
    for name in &profile.architectures {
        filter
            .add_arch(names::architecture(name)?)
            .map_err(|source| Error::Architecture { name: name.clone(), source })?;
    }
    let mut rules = Rules { filter, default, added: 0, unknown: Vec::new() };
    for (index, rule) in profile.syscalls.iter().enumerate() {
        rules.add(index, rule)?;
    }
    let Rules { mut filter, added, unknown, .. } = rules;
    if added > TREE_FROM {
        filter.set_ctl_optimize(2).map_err(library("order the filter as a tree"))?;
    }
    Ok((export(&filter)?, unknown))
}

fn refuse_listener(profile: &Profile) -> Result<(), Error> {
    let fields = [
        ("listenerPath", &profile.listener_path),
        ("listenerMetadata", &profile.listener_metadata),
    ];
    match fields.iter().find(|(_, value)| value.as_deref().is_some_and(|v| !v.is_empty())) {
        Some((what, _)) => Err(Error::NotSupported { what, place: "linux.seccomp".into() }),
        None => Ok(()),
    }
}

/// A filter while rules go into it.
struct Rules {
    filter: ScmpFilterContext,
    default: ScmpAction,
    added: usize,
    unknown: Vec<String>,
}

impl Rules {
    fn add(&mut self, index: usize, rule: &Rule) -> Result<(), Error> {
        if rule.names.is_empty() || rule.names.iter().any(String::is_empty) {
            return Err(Error::NoName { index });
        }
        let place = format!("syscalls[{index}]");
        let action = names::action(&rule.action, rule.errno_ret, &place)?;
        for name in &rule.names {
            let alternatives = alternatives(name, &rule.args)?;
            if action == self.default {
                continue; // says nothing new, and libseccomp refuses it
            }
            let Ok(syscall) = ScmpSyscall::from_name(name) else {
                self.unknown.push(name.clone());
                continue;
            };
            for conditions in alternatives {
                self.filter
                    .add_rule_conditional(action, syscall, &conditions)
                    .map_err(|source| Error::Rule { syscall: name.clone(), source })?;
                self.added += 1;
            }
        }
        Ok(())
    }
}

/// Conditions of one rule: all of one inner list must hold, any of the outer list matches.
///
/// Normally that is a single list. libseccomp cannot hold two conditions on one argument in a rule;
/// with such a profile runc makes every condition a rule of its own, and so do we.
fn alternatives(syscall: &str, args: &[Argument]) -> Result<Vec<Vec<ScmpArgCompare>>, Error> {
    let mut seen = [false; ARGUMENTS];
    let mut repeated = false;
    let mut conditions = Vec::with_capacity(args.len());
    for arg in args {
        let slot = seen
            .get_mut(arg.index as usize)
            .ok_or_else(|| Error::ArgumentIndex { syscall: syscall.into(), index: arg.index })?;
        repeated |= std::mem::replace(slot, true);
        let operator = names::operator(&arg.op, arg.value)?;
        let masked = matches!(operator, libseccomp::ScmpCompareOp::MaskedEqual(_));
        let datum = if masked { arg.value_two } else { arg.value };
        conditions.push(ScmpArgCompare::new(arg.index, operator, datum));
    }
    Ok(if repeated { conditions.into_iter().map(|c| vec![c]).collect() } else { vec![conditions] })
}

/// Reads the program by way of a memory file: export to memory needs libseccomp 2.6.
fn export(filter: &ScmpFilterContext) -> Result<Vec<u8>, Error> {
    let memory = memfd_create("seccomp", MemfdFlags::CLOEXEC)
        .map_err(|errno| Error::Export(errno.into()))?;
    filter.export_bpf(&memory).map_err(library("generate the filter"))?;
    let mut file = File::from(memory);
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(Error::Export)?;
    Ok(bytes)
}

fn library(step: &'static str) -> impl FnOnce(SeccompError) -> Error {
    move |source| Error::Library { step, source }
}

#[cfg(test)]
mod tests;

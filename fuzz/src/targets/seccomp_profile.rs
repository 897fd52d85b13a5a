//! `linux.seccomp`: reading it, and compiling it with libseccomp.
//!
//! What is read is written the same; a program is a whole number of instructions that the kernel
//! takes; compiling again gives the same program; what was skipped was asked for.

use lxcri_linux::seccomp::{MAX_INSTRUCTIONS, Profile, compile};

use crate::broken::{Outcome, holds, never, same};

/// Bytes of one instruction (kernel: `struct sock_filter`).
const INSTRUCTION: usize = 8;
/// More rules than this cost seconds in libseccomp and show nothing new.
const MOST_RULES: usize = 64;

pub(super) fn run(input: &[u8]) -> Outcome {
    let Ok(profile) = serde_json::from_slice::<Profile>(input) else { return Ok(()) };
    let text = serde_json::to_vec(&profile).map_err(never("a profile is written"))?;
    let again =
        serde_json::from_slice::<Profile>(&text).map_err(never("a profile is read back"))?;
    same(&again, &profile, "a profile is read as it was written")?;
    let rules: usize = profile.syscalls.iter().map(|r| r.names.len() * r.args.len().max(1)).sum();
    if rules > MOST_RULES {
        return Ok(());
    }
    let Ok(program) = compile(&profile) else { return Ok(()) };
    let length = program.instructions.len();
    holds(length % INSTRUCTION == 0 && length > 0, "a program is whole instructions")?;
    holds(length / INSTRUCTION <= MAX_INSTRUCTIONS, "a program fits the kernel")?;
    let mut names = profile.syscalls.iter().flat_map(|rule| &rule.names);
    for unknown in &program.unknown_syscalls {
        holds(names.any(|name| name == unknown), "what is skipped was asked for, in order")?;
    }
    let second = compile(&again).map_err(never("what compiles once compiles again"))?;
    holds(second == program, "compiling again gives the same program")
}

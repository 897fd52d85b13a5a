//! Runs a command under ptrace(2) and notes the peak resident memory (`VmHWM` of proc_pid_status(5)) of
//! every process of it, up to the moment one of them has executed the payload, if there is one.
//!
//! Why ptrace: the figure is gone when a process ends or executes another program, and `ru_maxrss` is
//! neither per process nor free of what the parent had at fork. Each process is stopped at execve(2)
//! and at its end, where its memory is still there to be looked at. A process counts once, with the
//! largest of its figures; one that still shares its parent's memory (vfork(2), threads) does not count.

#![allow(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `KCMP_VM` (linux/kcmp.h).
const KCMP_VM: libc::c_int = 1;

/// The peak of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peak {
    /// Its name, see proc_pid_comm(5).
    pub name: String,
    /// In KiB.
    pub kib: u64,
}

/// Runs `command` to its end. Without payload the peaks are those of whole lives, of the processes that
/// lived at one time: at the time when these add up to the most.
///
/// # Errors
/// When it cannot be traced, fails, or `payload` is never executed.
pub fn peaks(payload: Option<&str>, command: &mut Command) -> io::Result<Vec<Peak>> {
    // SAFETY: ptrace(2) is a plain system call, allowed between fork and exec.
    unsafe { command.pre_exec(|| ptrace(libc::PTRACE_TRACEME, 0, 0, 0).map(drop)) };
    let child = command.spawn()?;
    let first = i32::try_from(child.id()).map_err(io::Error::other)?;
    let mut tracer = Tracer { payload, first, ..Tracer::default() };
    wait(first)?;
    tracer.alive.insert(first);
    tracer.lives.insert(first, Life { born: 0, died: None });
    let options = libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_TRACEEXIT
        | libc::PTRACE_O_EXITKILL;
    // SAFETY: the options are a number.
    unsafe { ptrace(libc::PTRACE_SETOPTIONS, first, 0, options as usize)? };
    tracer.resume(first, 0);
    tracer.follow()
}

/// What is known of the traced processes.
#[derive(Default)]
struct Tracer<'p> {
    payload: Option<&'p str>,
    first: i32,
    peaks: BTreeMap<i32, Peak>,
    alive: BTreeSet<i32>,
    /// Processes with their parent's memory.
    sharing: BTreeSet<i32>,
    payload_runs: bool,
    /// Counts births and deaths.
    clock: usize,
    lives: BTreeMap<i32, Life>,
}

/// When a process began and ended, by the tracer's clock; without end while it lives.
#[derive(Debug, Clone, Copy)]
struct Life {
    born: usize,
    died: Option<usize>,
}

impl Life {
    fn includes(self, moment: usize) -> bool {
        self.born <= moment && self.died.is_none_or(|died| moment < died)
    }
}

impl Tracer<'_> {
    fn follow(mut self) -> io::Result<Vec<Peak>> {
        let mut outcome = None;
        loop {
            let (pid, status) = match wait(-1) {
                Ok(changed) => changed,
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) => break,
                Err(error) => return Err(error),
            };
            if libc::WIFSTOPPED(status) {
                let signal = self.stopped(pid, status);
                if self.alive.contains(&pid) {
                    self.resume(pid, signal);
                }
            } else {
                self.alive.remove(&pid);
                self.clock += 1;
                if let Some(life) = self.lives.get_mut(&pid) {
                    life.died = Some(self.clock);
                }
                if pid == self.first {
                    outcome = Some(status);
                }
            }
        }
        match outcome {
            Some(0) => match self.payload {
                None => Ok(at_the_worst_moment(&self.peaks, &self.lives)),
                Some(_) if self.payload_runs => Ok(self.peaks.into_values().collect()),
                Some(payload) => Err(io::Error::other(format!("{payload} was never executed"))),
            },
            status => Err(io::Error::other(format!("the command failed: {status:?}"))),
        }
    }

    /// Looks at a stopped process; the signal that it is to get.
    fn stopped(&mut self, pid: i32, status: i32) -> i32 {
        let signal = libc::WSTOPSIG(status);
        let is_new = self.alive.insert(pid);
        if is_new {
            self.clock += 1;
            self.lives.entry(pid).or_insert(Life { born: self.clock, died: None });
        }
        match status >> 16 {
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                self.born(pid);
            }
            libc::PTRACE_EVENT_EXEC => self.executed(pid),
            libc::PTRACE_EVENT_EXIT => self.note(pid),
            0 if signal == libc::SIGTRAP | 0x80 && is_about_to_execute(pid) => self.note(pid),
            0 if signal == libc::SIGTRAP | 0x80 => {}
            // How a new child or thread reports for the first time.
            0 if signal == libc::SIGSTOP && is_new => {}
            0 => return signal,
            _ => {}
        }
        0
    }

    fn born(&mut self, parent: i32) {
        let mut child: libc::c_ulong = 0;
        // SAFETY: the kernel writes one number there.
        let asked = unsafe {
            ptrace(libc::PTRACE_GETEVENTMSG, parent, 0, std::ptr::from_mut(&mut child) as usize)
        };
        let Ok(child) = i32::try_from(child) else { return };
        // SAFETY: kcmp(2) with KCMP_VM takes two pids and ignores the rest.
        let same = unsafe { libc::syscall(libc::SYS_kcmp, parent, child, KCMP_VM, 0, 0) } == 0;
        if asked.is_ok() && same {
            self.sharing.insert(child);
        }
    }

    fn executed(&mut self, pid: i32) {
        self.sharing.remove(&pid);
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let program = words.split(|byte| *byte == 0).next();
        if self.payload_runs || self.payload.is_none() || program != self.payload.map(str::as_bytes)
        {
            return;
        }
        for other in self.alive.clone() {
            if other != pid {
                self.note(other);
            }
        }
        self.payload_runs = true;
        // Its end must not reach the tracer first: a runtime that is told by pidfd would find nothing to
        // wait for yet.
        self.alive.remove(&pid);
        // SAFETY: the arguments are numbers. A process that is gone meanwhile needs no letting go.
        let _gone = unsafe { ptrace(libc::PTRACE_DETACH, pid, 0, 0) };
    }

    /// Notes the memory that a process has had so far.
    fn note(&mut self, pid: i32) {
        if self.payload_runs || self.sharing.contains(&pid) {
            return;
        }
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let number = |name| -> Option<u64> { field(name)?.trim().split(' ').next()?.parse().ok() };
        let (Some(kib), Some(process)) = (number("VmHWM:"), number("Tgid:")) else { return };
        let Ok(process) = i32::try_from(process) else { return };
        let name = field("Name:").unwrap_or_default().trim().to_owned();
        let peak = self.peaks.entry(process).or_insert(Peak { name: name.clone(), kib });
        if kib >= peak.kib {
            *peak = Peak { name, kib };
        }
    }

    fn resume(&self, pid: i32, signal: i32) {
        let request = if self.payload_runs { libc::PTRACE_CONT } else { libc::PTRACE_SYSCALL };
        // SAFETY: the arguments are numbers. A process that is gone meanwhile reports that itself.
        let _gone = unsafe { ptrace(request, pid, 0, usize::try_from(signal).unwrap_or(0)) };
    }
}

/// The peaks of the processes that lived at that birth at which they add up to the most.
fn at_the_worst_moment(peaks: &BTreeMap<i32, Peak>, lives: &BTreeMap<i32, Life>) -> Vec<Peak> {
    let alive_at = |moment| {
        let alive = |pid| lives.get(pid).is_some_and(|life: &Life| life.includes(moment));
        peaks.iter().filter(|(pid, _)| alive(pid)).map(|(_, peak)| peak.clone()).collect()
    };
    let sum = |peaks: &Vec<Peak>| peaks.iter().map(|peak| peak.kib).sum::<u64>();
    lives.values().map(|life| alive_at(life.born)).max_by_key(sum).unwrap_or_default()
}

fn is_about_to_execute(pid: i32) -> bool {
    // SAFETY: all zeros is a value of this structure of numbers.
    let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::ptrace_syscall_info>();
    let address = std::ptr::from_mut(&mut info) as usize;
    // SAFETY: the kernel writes at most `size` bytes there.
    let asked = unsafe { ptrace(libc::PTRACE_GET_SYSCALL_INFO, pid, size, address) };
    if asked.is_err() || info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return false;
    }
    // SAFETY: at the entry of a call this is the member that is set.
    let call = unsafe { info.u.entry.nr };
    [libc::SYS_execve, libc::SYS_execveat].iter().any(|exec| u64::try_from(*exec) == Ok(call))
}

/// The next change of a traced process (or of any, -1).
fn wait(pid: i32) -> io::Result<(i32, i32)> {
    loop {
        let mut status = 0;
        // SAFETY: the status is a number that lives until the call returns.
        let changed = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
        if changed > 0 {
            return Ok((changed, status));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// # Safety
/// `data` must be what the request takes.
unsafe fn ptrace(request: libc::c_uint, pid: i32, address: usize, data: usize) -> io::Result<i64> {
    // SAFETY: by this function's own contract.
    let result = unsafe { libc::ptrace(request, pid, address, data) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_never_met_do_not_add_up() {
        let (mut peaks, mut lives) = (BTreeMap::new(), BTreeMap::new());
        for (pid, kib, born, died) in
            [(1, 10, 0, None), (2, 20, 1, Some(2)), (3, 5, 3, Some(6)), (4, 7, 4, Some(5))]
        {
            peaks.insert(pid, Peak { name: pid.to_string(), kib });
            lives.insert(pid, Life { born, died });
        }
        let names = |peaks: Vec<Peak>| peaks.into_iter().map(|peak| peak.name).collect::<String>();
        assert_eq!(names(at_the_worst_moment(&peaks, &lives)), "12");
        lives.insert(2, Life { born: 1, died: Some(4) });
        assert_eq!(names(at_the_worst_moment(&peaks, &lives)), "123");
    }
}

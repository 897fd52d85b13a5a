//! Replays a plan. The fewest instructions that will do; the kernel is what is being measured.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::ffi::CStr;
use std::io;

use crate::plan::{
    ADDRESS, ARENA, EXPECT, LOAD_32, PRINT, PRINTED, RESULT, STEP, STEPS, STORE_32, STORE_64,
};

/// The plan's bytes; the steps write into them. Not on the stack, whose pages would all be touched.
#[repr(align(8))]
struct Arena(UnsafeCell<[u8; ARENA]>);

// SAFETY: only `replay` uses the one arena, in a program with one thread.
unsafe impl Sync for Arena {}

static THE_ARENA: Arena = Arena(UnsafeCell::new([0; ARENA]));

/// Why a plan ended early.
#[derive(Debug)]
pub struct Failed {
    step: usize,
    call: u64,
    error: io::Error,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { step, call, error } = self;
        write!(f, "lxcri-floor: step {step}, call {call}: {error}")
    }
}

/// Reads the plan at `path` and makes its calls.
///
/// # Errors
/// The first call that fails, in this process or in the plan's child.
///
/// # Safety
/// The file must come from [`crate::plan::Plan::bytes`]: its calls are made as they stand there. To be
/// called once, in a program with one thread.
pub unsafe fn replay(path: &CStr) -> Result<(), Failed> {
    let base = THE_ARENA.0.get().cast::<u8>();
    // SAFETY: `path` is a C string; `base` has room for ARENA bytes. The descriptor is not closed: it
    // goes with the next execve(2) or with this process.
    let length = unsafe {
        let file = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        libc::read(file, base.cast(), ARENA)
    };
    if length < 8 {
        return Err(Failed { step: 0, call: 0, error: io::Error::last_os_error() });
    }
    // SAFETY: by this function's own contract the arena now holds a whole plan.
    unsafe { run(base) }
}

/// # Safety
/// `base` must be an arena with a plan in it.
unsafe fn run(base: *mut u8) -> Result<(), Failed> {
    // SAFETY: a plan begins with the number of its steps, which follow; all of it is aligned to 8 bytes.
    let word = |offset: usize| unsafe { base.add(offset).cast::<u64>().read() } as usize;
    let count = word(0).min(STEPS);
    let mut results = [0_u64; STEPS];
    let mut step = 0;
    while step < count {
        let at = 8 + step * STEP;
        let (call, kinds) = (word(at) as u64, word(at + 8));
        let mut values = [0_u64; 6];
        for (index, value) in values.iter_mut().enumerate() {
            let given = word(at + 24 + index * 8);
            *value = match (kinds >> (2 * index)) as u64 & 3 {
                ADDRESS => base as u64 + given as u64,
                RESULT => results.get(given).copied().unwrap_or_default(),
                _ => given as u64,
            };
        }
        // SAFETY: the plan's maker chose the call and its arguments; addresses lie in the arena.
        let result = unsafe { make(call, values) };
        let result = result.map_err(|error| Failed { step, call, error })?;
        results[step] = result;
        let child = word(at + 16);
        step = if child != 0 && result == 0 { child } else { step + 1 };
    }
    Ok(())
}

/// Makes one step.
///
/// # Safety
/// The arguments must be what the call takes.
unsafe fn make(call: u64, values: [u64; 6]) -> io::Result<u64> {
    let [first, second, ..] = values;
    match call {
        // SAFETY: `first` is the address of 4, 8 or PRINTED bytes of the arena.
        STORE_32 => unsafe { (first as *mut u32).write_unaligned(second as u32) },
        // SAFETY: as above.
        STORE_64 => unsafe { (first as *mut u64).write_unaligned(second) },
        PRINT => {
            let mut digits = [b' '; PRINTED];
            let mut rest = second;
            for digit in digits.iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
                if rest == 0 {
                    break;
                }
            }
            // SAFETY: as above.
            unsafe { (first as *mut [u8; PRINTED]).write_unaligned(digits) }
        }
        // SAFETY: as above.
        LOAD_32 => return Ok(u64::from(unsafe { (first as *const u32).read_unaligned() })),
        EXPECT => {
            // SAFETY: as above.
            let found = unsafe { (first as *const u32).read_unaligned() };
            if u64::from(found) != second {
                return Err(io::Error::other(format!("found {found}, expected {second}")));
            }
        }
        _ => {
            let [a, b, c, d, e, f] = values;
            // SAFETY: by this function's own contract. A call that returns twice is fork(2): this
            // process has one thread and shares no memory with the child.
            let result = unsafe { libc::syscall(call as libc::c_long, a, b, c, d, e, f) };
            if result == -1 {
                return Err(io::Error::last_os_error());
            }
            return Ok(result as u64);
        }
    }
    Ok(0)
}

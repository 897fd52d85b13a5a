//! `lxcri-floor [PLAN]`. Has no Rust runtime: its start is what any static program costs.

#![no_main]
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};
use std::io::Write;

/// What the C library calls.
///
/// # Safety
/// The C library hands over `argc` C strings in `argv`.
// SAFETY: the one `main` of this program, with the signature that the C library expects.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    if argc < 2 {
        return 0;
    }
    // SAFETY: there is a second argument, a C string; it names a plan, which is what this program is for.
    match unsafe { lxcri_floor::replay::replay(CStr::from_ptr(*argv.add(1))) } {
        Ok(()) => 0,
        Err(failed) => {
            // There is no other place to complain about a closed standard error.
            let _unheard = writeln!(std::io::stderr(), "{failed}");
            1
        }
    }
}

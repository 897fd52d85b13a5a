//! A `main` without Rust's runtime, for programs of which every kilobyte counts: what that would set
//! up (a handler for stack overflow, ignoring SIGPIPE, standard streams that are open) costs memory
//! in each of many processes, and opens `/dev/null` in a file system that is not ours.

/// Makes a function from nothing to an exit code the `main` of a program that says `#![no_main]`.
/// [`std::env::args_os`] works in it: the C library hands the arguments to Rust by itself.
#[macro_export]
macro_rules! bare_main {
    ($main:path) => {
        // SAFETY: the one `main` of this program, with the signature that the C library expects;
        // unused arguments change nothing.
        #[unsafe(no_mangle)]
        extern "C" fn main(
            _count: ::core::ffi::c_int,
            _arguments: *const *const ::core::ffi::c_char,
        ) -> ::core::ffi::c_int {
            $main()
        }
    };
}

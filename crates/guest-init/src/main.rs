//! `lxcri-init`: PID 1 of a container, or, as `lxcri-init stand-in`, the process that a container
//! shows to those who wait for it. Started by hand it says what it is and ends.

#![no_main]

lxcri_linux::bare_main!(lxcri_init::main);

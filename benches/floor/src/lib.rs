//! The instruments of the benchmark that have to talk to the kernel directly, and are therefore, beside
//! `crates/linux`, the one place with `unsafe`:
//!
//! - `lxcri-floor PLAN` makes a list of system calls, prepared by the benchmark as a [`plan::Plan`], and
//!   nothing else: what a bundle costs when nobody parses, checks or records anything. Without a plan it
//!   ends at once: what it costs to start any static program.
//! - `lxcri-peak PAYLOAD COMMAND…` runs a runtime under ptrace(2) and prints the peak memory of each of
//!   its processes up to the moment the payload is executed.

pub mod peak;
pub mod plan;
pub mod replay;

//! Fuzz targets: plain functions, one for each parser of bytes that others wrote.
//!
//! `corpus/<target>/` holds their seeds, valid ones and hostile ones; the test `replay` runs them
//! all. The program `lxcri-fuzz` makes new inputs of them by [`mutate`].

mod broken;
pub mod corpus;
pub mod mutate;
mod targets;

pub use broken::{Broken, Outcome};
pub use targets::{TARGETS, Target};

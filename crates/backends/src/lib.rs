//! The table of rooms.

/// Every room, in the order in which they are shown.
pub static ROOMS: &[&lxcri_core::backend::Room] = &[];

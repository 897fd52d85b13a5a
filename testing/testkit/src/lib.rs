//! What all tests share: bundles, views of the cgroup file systems, the program under test, and the
//! comparison of the machine before and after.
//!
//! A test is a function `fn(&Room) -> Verdict`. It builds a [`Bundle`], drives a [`Container`] through
//! the [`Runtime`] and reads the effect back from the kernel. [`harness::main`] runs tests one at a
//! time and fails each test that leaves anything behind, whatever the test itself said.

pub mod bundle;
pub mod debian;
pub mod docker;
pub mod guest;
pub mod harness;
pub mod image;
pub mod machine;
pub mod place;
pub mod podman;
pub mod process;
pub mod random;
pub mod registry;
pub mod room;
pub mod runtime;
pub mod skopeo;
pub mod terminal;
pub mod tree;
pub mod verdict;
pub mod view;

pub use bundle::Bundle;
pub use guest::Guest;
pub use guest::Tier;
pub use image::Image;
pub use place::Place;
pub use room::Container;
pub use room::Room;
pub use runtime::CgroupDriver;
pub use runtime::Executor;
pub use runtime::Finished;
pub use runtime::Runtime;
pub use tree::Tree;
pub use verdict::Stop;
pub use verdict::Verdict;
pub use view::View;

//! Freezing and thawing: the program's `pause` and `resume`.

use lxcri_core::backend::{Container, Pause};
use lxcri_core::error::Error;

use crate::Crun;

impl Pause for Crun {
    fn pause(&self, container: &Container) -> Result<(), Error> {
        self.about(container, &["pause"], &[]).map(drop)
    }

    fn resume(&self, container: &Container) -> Result<(), Error> {
        self.about(container, &["resume"], &[]).map(drop)
    }
}

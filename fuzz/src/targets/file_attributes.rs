//! Values of extended attributes that have ids in them: access control lists and capabilities.
//!
//! What is mapped can be mapped back; a list of nobody in particular stays as it is.

use lxcri_linux::namespace::IdRange;
use lxcri_linux::tree::{shift_acl, shift_capability};

use crate::broken::{Outcome, holds, same};

pub(super) fn run(input: &[u8]) -> Outcome {
    let there = [IdRange { inside: 0, outside: 100_000, size: 65536 }];
    let back = [IdRange { inside: 100_000, outside: 0, size: 65536 }];
    if let Some(shifted) = shift_acl(input.to_vec(), &there) {
        same(&shift_acl(shifted, &back), &Some(input.to_vec()), "a list comes back")?;
    }
    if let Some(shifted) = shift_capability(input.to_vec(), &there) {
        holds(shifted.len() == 24, "capabilities name their root")?;
        let returned = shift_capability(shifted.clone(), &back);
        let again = returned.as_ref().and_then(|value| shift_capability(value.clone(), &there));
        same(&again, &Some(shifted), "capabilities come back")?;
        let bits = returned.as_deref().and_then(|value| value.get(4..20));
        same(&bits, &input.get(4..20), "no capability is won or lost")?;
    }
    Ok(())
}

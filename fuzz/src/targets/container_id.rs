//! A container id. What is one stays below the directory it is joined to, on one line.

use std::path::Path;

use lxcri_core::id::{ContainerId, MAX_LENGTH};

use crate::broken::{Outcome, holds, never, same};

pub(super) fn run(input: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
    let json = serde_json::to_vec(text).map_err(never("text is JSON"))?;
    let stored = serde_json::from_slice::<ContainerId>(&json);
    let Ok(id) = text.parse::<ContainerId>() else {
        return holds(stored.is_err(), "a stored id is checked as a typed one");
    };
    same(&stored.map_err(never("an id is read back"))?, &id, "a stored id is the same")?;
    same(&id.as_str(), &text, "an id is taken as it is")?;
    same(&id.to_string().as_str(), &text, "an id is shown as it is")?;
    holds((1..=MAX_LENGTH).contains(&text.len()), "an id fits a directory's name")?;
    holds(text.bytes().all(|byte| byte.is_ascii_graphic()), "an id is plain")?;
    let root = Path::new("/root/of/state");
    let path = root.join(id.as_str());
    holds(path.parent() == Some(root) && path.ends_with(text), "an id is one step down")
}

//! A seccomp profile of the user's, in Docker's form or config.json's. What is settled stands in
//! config.json's form, and is settled the same again.

use lxcri_images::spec::seccomp::{Target, parse_file};

use crate::broken::{Outcome, holds, never, same};

pub(super) fn run(input: &[u8]) -> Outcome {
    let capabilities = ["CAP_SYS_ADMIN".to_owned()];
    let target = Target { capabilities: &capabilities, architecture: "x86_64", kernel: (6, 1) };
    let Ok(profile) = parse_file(input, target) else { return Ok(()) };
    let text = serde_json::to_vec(&profile).map_err(never("a profile is written"))?;
    let bare = Target { capabilities: &[], ..target };
    let again = parse_file(&text, bare).map_err(never("a settled profile is read"))?;
    same(&again, &profile, "a settled profile depends on nothing")?;
    let rules = profile.syscalls.iter();
    holds(rules.filter(|rule| rule.names.is_empty()).count() <= input.len(), "rules are bounded")
}

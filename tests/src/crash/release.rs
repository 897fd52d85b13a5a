//! The program that people get has no fail points.

use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::skip;

use super::scene::VARIABLE;
use crate::registry::cases;

cases!("fail_points": are_not_built_in);

fn are_not_built_in(room: &Room) -> Verdict {
    if !room.runtime.ours {
        skip!("the program under test is a peer");
    }
    let bundle = room.script("echo lives")?;
    bundle.write()?;
    let (dir, id) = (bundle.dir.to_string_lossy(), room.id());
    let mut command = room.runtime.command(&room.root(), &["run", "--bundle", &dir, &id]);
    let finished = room.run_command(command.env(VARIABLE, "create/directory"))?.ok()?;
    ensure_eq!(finished.stdout, "lives\n", "with {VARIABLE} set: {finished}");
    let program = std::fs::read(&room.runtime.program)?;
    let knows = program.windows(VARIABLE.len()).any(|bytes| bytes == VARIABLE.as_bytes());
    ensure!(!knows, "the program reads {VARIABLE}");
    Ok(())
}

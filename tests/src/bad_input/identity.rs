//! Ids: invalid, taken, asked for twice at once.

use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::process::DEADLINE;
use lxcri_testkit::process::exit_code;

use crate::registry::cases;

cases!("identity": invalid_ids, invalid_ids_of_other_commands, long_id, taken, two_creates_at_once,
    missing_id, too_many_arguments, start_twice_at_once);

const INVALID: [&str; 9] = ["a/b", "..", ".", "../x", "a b", "a\nb", "ä", "a:b", "*"];

fn invalid_ids(room: &Room) -> Verdict {
    let bundle = room.script("true")?;
    bundle.write()?;
    let dir = bundle.dir.to_string_lossy();
    for id in INVALID {
        for command in ["run", "create"] {
            let finished = room.call(&[command, "--bundle", &dir, id])?.exits(1)?;
            finished.refuses(&["invalid", "id"])?;
        }
    }
    ensure!(!room.dir().join("x").exists(), "a file outside the root directory");
    Ok(())
}

/// `delete -f ../x` must not remove anything.
fn invalid_ids_of_other_commands(room: &Room) -> Verdict {
    let victim = room.dir().join("victim");
    std::fs::create_dir(&victim)?;
    std::fs::write(victim.join("state.json"), "{}")?;
    for command in
        [&["delete", "--force"][..], &["delete"], &["state"], &["start"], &["kill"], &["ps"]]
    {
        let mut arguments = command.to_vec();
        arguments.push("../victim");
        let finished = room.call(&arguments)?;
        ensure!(finished.code != 0 || command.contains(&"--force"), "{finished}");
        ensure!(victim.join("state.json").exists(), "the file is gone after {finished}");
    }
    Ok(())
}

fn long_id(room: &Room) -> Verdict {
    let bundle = room.script("true")?;
    bundle.write()?;
    let dir = bundle.dir.to_string_lossy();
    for length in [300, 5000] {
        let id = "x".repeat(length);
        room.call(&["run", "--bundle", &dir, &id])?.exits(1)?.refuses(&[
            "id",
            "too long",
            "name too long",
        ])?;
    }
    Ok(())
}

fn taken(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    let dir = bundle.dir.to_string_lossy();
    for command in ["create", "run"] {
        let finished = room.call(&[command, "--bundle", &dir, &container.id])?.exits(1)?;
        finished.refuses(&["already exists", "exists", "already"])?;
    }
    ensure_eq!(container.status()?, "running", "status of the first");
    container.end()
}

/// Exactly one wins, and its container is whole.
fn two_creates_at_once(room: &Room) -> Verdict {
    for _round in 0..5 {
        let bundles = [room.script("exec sleep 1000")?, room.script("exec sleep 1000")?];
        let id = room.id();
        let mut started = Vec::new();
        for bundle in &bundles {
            bundle.write()?;
            started.push(room.start_call(&[
                "create",
                "--bundle",
                &bundle.dir.to_string_lossy(),
                &id,
            ])?);
        }
        let mut codes = Vec::new();
        for call in started {
            codes.push(exit_code(call.wait(DEADLINE)?.status));
        }
        codes.sort_unstable();
        ensure_eq!(codes, [0, 1], "exit codes of two creates");
        room.call(&["start", &id])?.ok()?;
        room.call(&["delete", "--force", &id])?.ok()?;
    }
    Ok(())
}

fn start_twice_at_once(room: &Room) -> Verdict {
    for _round in 0..5 {
        let bundle = room.script("exec sleep 1000")?;
        let container = room.container(&bundle);
        container.create()?;
        let calls = [
            room.start_call(&["start", &container.id])?,
            room.start_call(&["start", &container.id])?,
        ];
        let mut codes = Vec::new();
        for call in calls {
            codes.push(exit_code(call.wait(DEADLINE)?.status));
        }
        codes.sort_unstable();
        ensure_eq!(codes, [0, 1], "exit codes of two starts");
        container.end()?;
    }
    Ok(())
}

fn missing_id(room: &Room) -> Verdict {
    for command in
        ["create", "start", "state", "kill", "delete", "pause", "resume", "ps", "update", "events"]
    {
        let finished = room.call(&[command])?;
        ensure!(finished.code != 0, "{finished}");
    }
    Ok(())
}

fn too_many_arguments(room: &Room) -> Verdict {
    for command in ["start", "state", "delete", "pause", "resume"] {
        let finished = room.call(&[command, "a", "b"])?;
        ensure!(finished.code != 0, "{finished}");
    }
    Ok(())
}

//! State that is broken, stale or half made: `delete --force` removes everything.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::process;
use lxcri_testkit::process::Started;
use lxcri_testkit::skip;

use crate::registry::cases;

cases!("crash": corrupt_state, truncated_state, foreign_state, empty_directory, other_boot,
    killed_create, killed_start, killed_run, killed_delete, init_killed_before_start,
    cgroup_gone, rootfs_gone, init_ends_with_its_maker, run_can_be_interrupted);

/// The state file of a container: ours and runc's have the same name, crun's is `status`.
fn state_file(room: &Room, id: &str) -> PathBuf {
    let dir = room.root().join(id);
    let ours = dir.join("state.json");
    if ours.exists() { ours } else { dir.join("status") }
}

/// Runs a container, puts `content` in place of its state and checks that it can be removed.
fn survives_state(room: &Room, content: Option<&str>) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    let file = state_file(room, &container.id);
    match content {
        Some(text) => fs::write(&file, text)?,
        None => {
            let bytes = fs::read(&file)?;
            fs::write(&file, bytes.get(..bytes.len() / 2).unwrap_or_default())?;
        }
    }
    container.call("state")?.refuses(&[])?;
    container.call("start")?.refuses(&[])?;
    let listed = room.call(&["list"])?;
    ensure!(listed.code == 0 || !listed.stderr.is_empty(), "list said nothing: {listed}");
    room.call(&["delete", "--force", &container.id])?.ok()?;
    // The process is gone without help: the runtime found it by what it keeps beside the file.
    ensure!(process::ends_within(container.pid(), Duration::from_secs(10)), "init still runs");
    container.wait()?;
    Ok(())
}

fn only_ours(room: &Room) -> Verdict {
    if !room.runtime.ours {
        skip!("peers do not promise this");
    }
    Ok(())
}

fn corrupt_state(room: &Room) -> Verdict {
    only_ours(room)?;
    survives_state(room, Some("{ this is not JSON"))
}

fn truncated_state(room: &Room) -> Verdict {
    only_ours(room)?;
    survives_state(room, None)
}

fn foreign_state(room: &Room) -> Verdict {
    only_ours(room)?;
    survives_state(room, Some("{\"schema\": 99999, \"id\": \"somebody-else\"}"))
}

/// A directory without any file in it is what a killed `create` may leave.
fn empty_directory(room: &Room) -> Verdict {
    fs::create_dir_all(room.root().join("empty"))?;
    room.call(&["delete", "--force", "empty"])?.ok()?;
    ensure!(
        !room.root().join("empty").exists() || !room.runtime.ours,
        "the directory is still there"
    );
    let _result = fs::remove_dir(room.root().join("empty"));
    Ok(())
}

/// State of an earlier boot: its pid may be anybody's by now and must not be touched.
fn other_boot(room: &Room) -> Verdict {
    only_ours(room)?;
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    let file = state_file(room, &container.id);
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let text = fs::read_to_string(&file)?;
    ensure!(text.contains(boot.trim()), "no boot id in {text}");
    let copy = room.root().join("earlier");
    copy_directory(&room.root().join(&container.id), &copy)?;
    let stale = text
        .replace(boot.trim(), "00000000-1111-2222-3333-444444444444")
        .replace(&format!("\"{}\"", container.id), "\"earlier\"");
    fs::write(copy.join("state.json"), stale)?;
    let state = room.call(&["state", "earlier"])?;
    ensure!(!state.stdout.contains("\"running\""), "a container of another boot runs: {state}");
    room.call(&["kill", "earlier", "KILL"])?.refuses(&[])?;
    room.call(&["delete", "--force", "earlier"])?.ok()?;
    ensure!(container.proc("comm").is_ok(), "delete killed a process of this boot");
    ensure!(container.status()? == "running", "the live container is {}", container.status()?);
    container.end()
}

/// Copies plain files; fifos and sockets are of no use in a copy.
fn copy_directory(from: &Path, to: &Path) -> Verdict {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Points in time at which a command is killed, in microseconds after its start.
const MOMENTS: [u64; 24] = [
    200, 400, 600, 800, 1000, 1200, 1400, 1600, 1800, 2000, 2300, 2600, 3000, 3500, 4000, 4500,
    5000, 6000, 7000, 8000, 10000, 13000, 17000, 25000,
];

/// Kills `command` at one moment after another; after `delete --force` nothing may be left. The
/// harness checks that once at the end, this function in every round.
fn killed_at_moments(room: &Room, prepare: &[&str], command: &[&str]) -> Verdict {
    only_ours(room)?;
    for moment in MOMENTS {
        let bundle = room.script("exec sleep 1000")?;
        bundle.write()?;
        let id = room.id();
        let dir = bundle.dir.to_string_lossy().into_owned();
        if !prepare.is_empty() {
            room.call(&filled(prepare, &dir, &id))?.ok()?;
        }
        let started = room.start_call(&filled(command, &dir, &id))?;
        std::thread::sleep(Duration::from_micros(moment));
        started.kill()?;
        let finished = room.call(&["delete", "--force", &id])?.ok()?;
        ensure!(!room.root().join(&id).exists(), "state after a kill at {moment} µs: {finished}");
        process::until(&format!("the end of all processes, killed at {moment} µs"), || {
            process::reap_orphans();
            lxcri_testkit::machine::Machine::processes().is_empty()
        })?;
    }
    Ok(())
}

/// Puts bundle and id in the place of `BUNDLE` and `ID`.
fn filled<'a>(words: &[&'a str], bundle: &'a str, id: &'a str) -> Vec<&'a str> {
    let fill = |word: &&'a str| match *word {
        "BUNDLE" => bundle,
        "ID" => id,
        other => other,
    };
    words.iter().map(fill).collect()
}

const CREATE: &[&str] = &["create", "--bundle", "BUNDLE", "ID"];

fn killed_create(room: &Room) -> Verdict {
    killed_at_moments(room, &[], CREATE)
}

fn killed_start(room: &Room) -> Verdict {
    killed_at_moments(room, CREATE, &["start", "ID"])
}

fn killed_run(room: &Room) -> Verdict {
    killed_at_moments(room, &[], &["run", "--bundle", "BUNDLE", "ID"])
}

fn killed_delete(room: &Room) -> Verdict {
    killed_at_moments(room, CREATE, &["delete", "--force", "ID"])
}

fn init_killed_before_start(room: &Room) -> Verdict {
    let bundle = room.script("true")?;
    let container = room.container(&bundle);
    container.create()?;
    container.signal_init(rustix::process::Signal::KILL);
    container.wait()?;
    container.becomes("stopped")?;
    container.call("start")?.refuses(&["stopped"])?;
    container.delete()
}

/// Somebody removed the cgroups (systemd does that to units).
fn cgroup_gone(room: &Room) -> Verdict {
    let bundle = room.script("true")?;
    let container = room.running(&bundle)?;
    container.wait()?;
    for hierarchy in room.view.hierarchies() {
        let dir = hierarchy.join(bundle.cgroup.trim_start_matches('/'));
        if dir.exists() {
            fs::remove_dir(dir)?;
        }
    }
    container.becomes("stopped")?;
    container.delete()
}

/// Podman removes the root file system before it deletes.
fn rootfs_gone(room: &Room) -> Verdict {
    let bundle = room.script("true")?;
    let container = room.running(&bundle)?;
    container.wait()?;
    container.becomes("stopped")?;
    fs::remove_dir_all(&bundle.dir)?;
    container.delete()
}

/// Starts a command that is busy with a hook for as long as `seconds`.
fn busy_with_hook(room: &Room, command: &str, seconds: u32) -> Verdict<(Started, String)> {
    only_ours(room)?;
    let mut bundle = room.script("exec sleep 1000")?;
    bundle.hook("createRuntime", &format!("touch {}/begun; sleep {seconds}", room.dir().display()));
    bundle.write()?;
    let (id, dir) = (room.id(), bundle.dir.to_string_lossy().into_owned());
    let started = room.start_call(&[command, "--bundle", &dir, &id])?;
    process::until("the hook", || room.dir().join("begun").exists())?;
    Ok((started, id))
}

/// Init waits for its maker; nobody else can tell it to go on.
fn init_ends_with_its_maker(room: &Room) -> Verdict {
    let (started, id) = busy_with_hook(room, "create", 1)?;
    started.kill()?;
    process::until("the end of the hook and of init", || {
        process::reap_orphans();
        lxcri_testkit::machine::Machine::processes().is_empty()
    })?;
    room.call(&["delete", "--force", &id])?.ok()?;
    Ok(())
}

/// A hook that hangs must not make `run` deaf to control-c.
fn run_can_be_interrupted(room: &Room) -> Verdict {
    let (started, id) = busy_with_hook(room, "run", 600)?;
    process::signal(started.pid(), rustix::process::Signal::INT);
    let ended = started.wait(Duration::from_secs(20))?;
    let said = fs::read_to_string(ended.stderr_file)?;
    ensure!(said.contains("interrupted by SIGINT"), "{said}");
    room.call(&["state", &id])?.refuses(&["does not exist"])?;
    Ok(())
}

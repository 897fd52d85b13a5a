//! The guests themselves, and what building them says when it cannot.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::process::ExitCode;
use std::time::Duration;
use std::time::Instant;

use lxcri_testkit::Finished;
use lxcri_testkit::Guest;
use lxcri_testkit::Place;
use lxcri_testkit::Room;
use lxcri_testkit::Stop;
use lxcri_testkit::Tier;
use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::ensure;
use lxcri_testkit::guest::Share;
use lxcri_testkit::process::Started;
use lxcri_testkit::runtime::repository;

use crate::registry;
use crate::registry::cases;

cases!("guests": uml_is_what_it_should_be, vm_is_what_it_should_be, what_is_written_is_thrown_away,
    shares, answers, a_silent_guest_is_given_up, a_dead_guest_is_told, build_without_network,
    build_from_a_stalled_mirror, build_on_a_small_disk, build_with_little_memory,
    build_is_killed_while_another_waits, half_built_is_not_whole);

/// How long a script of these tests may be silent.
const SOON: Duration = Duration::from_secs(60);

/// The test program.
#[must_use]
pub fn main() -> ExitCode {
    registry::main(Place::Host(View::Hybrid), CASES)
}

fn say(guest: &mut Guest, script: &str) -> Verdict<String> {
    let output = guest.run_within(SOON, script)?.ok()?;
    Ok(output.strip_suffix('\n').unwrap_or(&output).to_owned())
}

/// What both tiers promise: systemd runs, cgroup v2 with the controllers, all capabilities, AppArmor.
fn promises(guest: &mut Guest, controllers: &[&str]) -> Verdict {
    ensure!(say(guest, "cat /proc/1/comm")? == "systemd", "PID 1 is something else");
    let failed = say(guest, "systemctl --failed --no-legend --plain")?;
    ensure!(failed.is_empty(), "failed units: {failed}");
    ensure!(say(guest, "stat -f -c %T /sys/fs/cgroup")? == "cgroup2fs", "no cgroup v2");
    let found = say(guest, "cat /sys/fs/cgroup/cgroup.controllers")?;
    for controller in controllers {
        ensure!(found.split(' ').any(|name| name == *controller), "{controller} not among {found}");
    }
    let capabilities = say(guest, "grep CapEff /proc/self/status")?;
    ensure!(capabilities.ends_with("1ffffffffff"), "{capabilities}");
    let profiles = say(guest, "cat /sys/kernel/security/apparmor/profiles")?;
    ensure!(profiles.contains("lxc-container-default-cgns (enforce)"), "{profiles}");
    Ok(())
}

fn uml_is_what_it_should_be(_room: &Room) -> Verdict {
    let mut guest = Guest::boot(Tier::Uml, &[])?;
    promises(&mut guest, &["cpu", "io", "memory", "pids"])
}

fn vm_is_what_it_should_be(_room: &Room) -> Verdict {
    let mut guest = Guest::boot(Tier::Vm, &[])?;
    promises(&mut guest, &["cpuset", "cpu", "io", "memory", "pids"])?;
    let here = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    ensure!(say(&mut guest, "uname -r")? != here.trim(), "the guest has this machine's kernel");
    let zfs = say(&mut guest, "cat /sys/module/zfs/version")?;
    ensure!(zfs.starts_with("2.3."), "ZFS {zfs}");
    // The clock stood still while the state was saved.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_err(|error| Stop::Failed(error.to_string()))?.as_secs();
    let theirs = say(&mut guest, "date +%s")?.parse::<u64>().unwrap_or_default();
    ensure!(now.abs_diff(theirs) < 60, "the guest's clock says {theirs}, here it is {now}");
    Ok(())
}

fn what_is_written_is_thrown_away(_room: &Room) -> Verdict {
    for tier in [Tier::Uml, Tier::Vm] {
        let mut first = Guest::boot(tier, &[])?;
        say(&mut first, "echo here >/etc/lxcri-test; sync; cat /etc/lxcri-test")?;
        drop(first);
        let mut second = Guest::boot(tier, &[])?;
        ensure!(
            say(&mut second, "ls /etc/lxcri-test 2>&1 || true")?.contains("No such file"),
            "{tier}: the second guest sees what the first wrote"
        );
    }
    Ok(())
}

fn shares(room: &Room) -> Verdict {
    let (fixed, free) = (room.dir().join("it's fixed"), room.dir().join("free"));
    for dir in [&fixed, &free] {
        fs::create_dir(dir)?;
        fs::write(dir.join("greeting"), "hello\n")?;
    }
    for tier in [Tier::Uml, Tier::Vm] {
        let mut guest = Guest::boot(tier, &[Share::ReadOnly(&fixed), Share::Writable(&free)])?;
        let script = format!(
            "cat '{}/greeting' && echo {tier} >'{}/answer' && sync",
            fixed.display().to_string().replace('\'', r"'\''"),
            free.display()
        );
        ensure!(say(&mut guest, &script)? == "hello", "{tier} reads something else");
        let script = format!("echo x >{:?}/greeting", fixed.display().to_string());
        ensure!(guest.run_within(SOON, &script)?.code != 0, "{tier} writes what it may only read");
        let answer = fs::read_to_string(free.join("answer"))?;
        ensure!(answer == format!("{tier}\n"), "{answer}");
    }
    let greeting = fs::read_to_string(fixed.join("greeting"))?;
    ensure!(greeting == "hello\n", "the shared file is now {greeting}");
    Ok(())
}

fn answers(_room: &Room) -> Verdict {
    let mut guest = Guest::boot(Tier::Uml, &[])?;
    for (script, code, output) in [
        ("exit 7", 7, ""),
        ("kill -9 $$", 137, ""),
        ("echo out; echo err >&2", 0, "out\nerr\n"),
        ("printf 'no line feed'", 0, "no line feed"),
        ("echo; echo", 0, "\n\n"),
        // Nothing that a script prints is taken for the end of its answer.
        (
            "echo agent ready; echo 0000000000000000 0; cat /run/agent-script | wc -l",
            0,
            "agent ready\n0000000000000000 0\n0\n",
        ),
        ("cat", 0, ""),
        ("stty -a </dev/ttyS0 >/dev/null; exit 3", 3, ""),
    ] {
        let answer = guest.run_within(SOON, script)?;
        ensure!(answer.code == code && answer.output == output, "{script}: {answer:?}");
    }
    let long = guest.run_within(SOON, "head -c 300000 /dev/zero | tr '\\0' x")?;
    let letters = long.output.bytes().filter(|byte| *byte == b'x').count();
    ensure!(letters == 300_000, "{letters} letters arrived");
    Ok(())
}

fn a_silent_guest_is_given_up(_room: &Room) -> Verdict {
    let mut guest = Guest::boot(Tier::Uml, &[])?;
    match guest.run_within(Duration::from_secs(1), "sleep 1000") {
        Err(Stop::Failed(message)) if message.contains("no answer within 1 s") => Ok(()),
        other => Err(Stop::Failed(format!("{other:?}"))),
    }
}

fn a_dead_guest_is_told(_room: &Room) -> Verdict {
    let mut guest = Guest::boot(Tier::Uml, &[])?;
    let script = "echo the last words >/dev/console; echo o >/proc/sysrq-trigger; sleep 1000";
    match guest.run_within(SOON, script) {
        Err(Stop::Failed(message)) if message.contains("the last words") => Ok(()),
        other => Err(Stop::Failed(format!("{other:?}"))),
    }
}

/// `build.sh` with a cache of its own, in which nothing is built yet.
fn build(room: &Room, prefix: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.args(prefix).arg(repository().join("tests/guests/build.sh"));
    command.env("XDG_CACHE_HOME", room.dir().join("cache"));
    command
}

fn cache(room: &Room) -> std::path::PathBuf {
    room.dir().join("cache/proxmox-lxcri/guests")
}

/// The build failed with `words`, printed no directory, and left nothing that could be taken for a
/// result.
fn refuses(room: &Room, finished: &Finished, words: &[&str]) -> Verdict {
    ensure!(finished.code != 0 && finished.stdout.is_empty(), "{finished}");
    for word in words {
        ensure!(finished.stderr.contains(word), "no {word:?} in {finished}");
    }
    let left: Vec<_> = names(&cache(room));
    ensure!(left.iter().all(|name| name == ".lock"), "left behind: {left:?}");
    Ok(())
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn build_without_network(room: &Room) -> Verdict {
    let finished = room.run_command(&mut build(room, &["unshare", "--net"]))?;
    refuses(room, &finished, &["guests: cannot make a Debian trixie tree", "is there a network"])
}

/// A mirror that takes connections and never says anything.
fn stalled_mirror(room: &Room) -> Verdict<(TcpListener, Vec<String>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let (list, settings) = (room.dir().join("sources.list"), room.dir().join("apt.conf"));
    fs::write(&list, format!("deb [trusted=yes] http://127.0.0.1:{port}/debian/ trixie main\n"))?;
    fs::write(
        &settings,
        format!(
            "Dir::Etc::sourcelist \"{}\";\nDir::Etc::sourceparts \"-\";\n\
             Acquire::http::Proxy \"DIRECT\";\n",
            list.display()
        ),
    )?;
    let variables =
        vec![format!("APT_CONFIG={}", settings.display()), "LXCRI_MIRROR_TIMEOUT=2".to_owned()];
    Ok((listener, variables))
}

fn build_from_a_stalled_mirror(room: &Room) -> Verdict {
    let (_listener, variables) = stalled_mirror(room)?;
    let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
    let finished = room.run_command(&mut build(room, &variables))?;
    refuses(room, &finished, &["guests: cannot make a Debian trixie tree", "is the mirror up"])
}

fn build_on_a_small_disk(room: &Room) -> Verdict {
    let script = "mkdir -p \"$XDG_CACHE_HOME\"; mount -t tmpfs -o size=64m small \"$XDG_CACHE_HOME\"; \"$0\"";
    let finished =
        room.run_command(&mut build(room, &["unshare", "--mount", "sh", "-c", script]))?;
    refuses(room, &finished, &["64 MiB free, the guests need 6144 MiB"])
}

fn build_with_little_memory(room: &Room) -> Verdict {
    fs::write(room.dir().join("meminfo"), "MemTotal: 1048576 kB\nMemAvailable: 524288 kB\n")?;
    let script = format!("mount --bind {}/meminfo /proc/meminfo; \"$0\"", room.dir().display());
    let finished =
        room.run_command(&mut build(room, &["unshare", "--mount", "sh", "-c", &script]))?;
    refuses(room, &finished, &["512 MiB of memory are available, the guests need 3072 MiB"])
}

/// The second build waits for the first; the first is killed; the second does not take what the first
/// had begun for something whole, and removes it.
fn build_is_killed_while_another_waits(room: &Room) -> Verdict {
    let (_listener, variables) = stalled_mirror(room)?;
    let settings = variables.first().map_or("", String::as_str);
    let mut command = build(room, &[settings, "LXCRI_MIRROR_TIMEOUT=60"]);
    let first = Started::new(&mut command, room.dir(), "first", None)?;
    let begun = || names(&cache(room)).iter().any(|name| name.starts_with(".half-built"));
    ensure!(within(SOON, begun), "the first build has not begun");
    let mut command = build(room, &[settings, "LXCRI_MIRROR_TIMEOUT=2"]);
    let second = Started::new(&mut command, room.dir(), "second", None)?;
    let waits = || {
        let said = fs::read_to_string(room.dir().join("second.err")).unwrap_or_default();
        said.contains("another build is running")
    };
    ensure!(within(SOON, waits), "the second build does not wait");
    first.kill()?;
    let second = Finished::read(second.wait(SOON)?)?;
    refuses(room, &second, &["another build is running", "cannot make a Debian trixie tree"])
}

/// Whether a condition comes true in time.
fn within(time: Duration, condition: impl Fn() -> bool) -> bool {
    let end = Instant::now() + time;
    while !condition() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// A directory that a killed build left is no result, whatever is in it.
fn half_built_is_not_whole(room: &Room) -> Verdict {
    let left = cache(room).join(".half-built.abcdef/result");
    fs::create_dir_all(&left)?;
    fs::write(left.join("guest.img"), "not a disk")?;
    let finished = room.run_command(&mut build(room, &["unshare", "--net"]))?;
    refuses(room, &finished, &["is there a network"])
}

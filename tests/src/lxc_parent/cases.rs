//! What is proven.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use lxcri_testkit::process::{DEADLINE, signal, until};
use lxcri_testkit::verdict::Context;
use lxcri_testkit::{Room, Stop, Verdict, ensure, ensure_eq, fail};
use rustix::process::Signal;

use super::scene::{Ids, Scene, forbid_ids};
use crate::registry::cases;

cases!(
    "lxc_parent":
    exit_code,
    exit_code_unprivileged,
    sigkill,
    sigkill_unprivileged,
    hidden,
    hidden_unprivileged,
    signals_to_the_pid,
    the_pid_is_killed,
    monitor_is_killed,
    init_is_killed,
    lxc_stop,
    lxc_attach,
    what_the_process_leaves_running,
    program_is_missing,
    name_is_taken,
    create_is_killed,
    small,
);

fn exit_code(room: &Room) -> Verdict {
    exits_with_seven(room, Ids::Host)
}

fn exit_code_unprivileged(room: &Room) -> Verdict {
    let verdict = exits_with_seven(room, Ids::Mapped);
    forbid_ids();
    verdict
}

/// The streams arrive apart, the code arrives, the pid is the container's, LXC sees it.
fn exits_with_seven(room: &Room, ids: Ids) -> Verdict {
    let scene = Scene::create(room, ids, "echo out; echo err >&2; read -r _ </hold; exit 7")?;
    let root = room.dir().join("bundle/rootfs");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("hold"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o666),
        0,
    )?;
    scene.pid_is_the_containers()?;
    is_confined(&scene)?;
    ensure_eq!(scene.stdout()?, "", "before start");
    scene.start()?;
    until("the output", || scene.stdout().is_ok_and(|text| text == "out\n"))?;
    until("the errors", || scene.stderr().is_ok_and(|text| text == "err\n"))?;
    scene.pid_is_the_containers()?;
    let info = |what: &str| scene.lxc("lxc-info", &["-n", &scene.name, what, "-H"]);
    ensure_eq!(info("-s")?, "RUNNING\n", "lxc-info");
    ensure_eq!(info("-p")?, format!("{}\n", scene.init), "lxc-info: PID 1");
    ensure_eq!(scene.lxc("lxc-ls", &["--running", "-1"])?.trim(), scene.name, "lxc-ls");
    fs::write(root.join("hold"), "\n")?;
    ensure_eq!(scene.finish()?.into_raw(), 7 << 8, "the wait status");
    ensure_eq!(scene.lxc("lxc-ls", &["--running", "-1"])?, "", "lxc-ls afterwards");
    Ok(())
}

fn sigkill(room: &Room) -> Verdict {
    dies_by_sigkill(room, Ids::Host)
}

fn sigkill_unprivileged(room: &Room) -> Verdict {
    let verdict = dies_by_sigkill(room, Ids::Mapped);
    forbid_ids();
    verdict
}

fn dies_by_sigkill(room: &Room, ids: Ids) -> Verdict {
    let scene = Scene::create(room, ids, "exec sleep 1000")?;
    scene.start()?;
    signal(scene.process, Signal::KILL);
    ensure_eq!(scene.finish()?.into_raw(), 9, "the wait status: a signal and no core");
    Ok(())
}

fn hidden(room: &Room) -> Verdict {
    sees_only_itself(room, Ids::Host)
}

fn hidden_unprivileged(room: &Room) -> Verdict {
    let verdict = sees_only_itself(room, Ids::Mapped);
    forbid_ids();
    verdict
}

/// The user's process is PID 1 of what it sees, and finds nothing of ours: no process, descriptor,
/// variable or mount. It has exactly the rights and limits that it shall have, and so has whoever
/// attaches.
fn sees_only_itself(room: &Room, ids: Ids) -> Verdict {
    let script = "echo pid $$; echo proc /proc/[0-9]*; echo fd /proc/self/fd/*
        echo env; env; echo mounts; grep -c ' /proc proc ' /proc/mounts; grep lxcri /proc/mounts
        echo limits; ulimit -n; ulimit -Hn; grep -E 'CapBnd|CapEff|NoNewPrivs' /proc/self/status";
    let scene = Scene::create_as(room, ids, "7", &["sh", "-c", script])?;
    let capabilities = "00000000000005e1";
    let of_init = fs::read_to_string(format!("/proc/{}/status", scene.init))?;
    ensure!(of_init.contains("CapPrm:\t0000000000000020"), "PID 1 keeps CAP_KILL: {of_init}");
    ensure!(of_init.contains(&format!("CapBnd:\t{capabilities}")), "PID 1: {of_init}");
    let of_pid = fs::read_to_string(format!("/proc/{}/status", scene.pid))?;
    for set in ["CapPrm", "CapBnd", "CapInh", "CapAmb"] {
        ensure!(of_pid.contains(&format!("{set}:\t0000000000000000")), "the stand-in: {of_pid}");
    }
    if ids == Ids::Host {
        // The container's root without rights, which another process in the pid namespace may be.
        let mut reader = Command::new("setpriv");
        reader.args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "cat"]);
        let read = reader.arg(format!("/proc/{}/environ", scene.pid)).output()?;
        ensure!(!read.status.success(), "the stand-in can be looked into");
    }
    scene.start()?;
    ensure_eq!(scene.finish()?.into_raw(), 0, "the wait status");
    let found = scene.stdout()?;
    let wanted = format!(
        "pid 1\nproc /proc/1\nfd /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n\
         env\nSHLVL=1\nHOME=/\nPATH=/bin:/usr/bin\nPWD=/\nmounts\n1\nlimits\n77\n78\n\
         CapEff:\t0000000000000000\nCapBnd:\t{capabilities}\nNoNewPrivs:\t1\n"
    );
    ensure_eq!(found, wanted, "what it sees");
    Ok(())
}

/// Whoever signals the pid that it knows means the user's process.
fn signals_to_the_pid(room: &Room) -> Verdict {
    let script =
        "trap 'echo usr1' USR1; trap 'exit 3' TERM; echo ready; while :; do sleep 0.02; done";
    let scene = Scene::create(room, Ids::Host, script)?;
    scene.start()?;
    until("it to be ready", || scene.stdout().is_ok_and(|text| text == "ready\n"))?;
    signal(scene.pid, Signal::USR1);
    until("the first signal", || scene.stdout().is_ok_and(|text| text == "ready\nusr1\n"))?;
    signal(scene.pid, Signal::TERM);
    ensure_eq!(scene.finish()?.into_raw(), 3 << 8, "the wait status");
    Ok(())
}

/// Also SIGKILL, which cannot be passed on: the container ends with the pid.
fn the_pid_is_killed(room: &Room) -> Verdict {
    let scene = Scene::create(room, Ids::Host, "sleep 1000")?;
    scene.start()?;
    signal(scene.pid, Signal::KILL);
    ensure_eq!(scene.finish()?.into_raw(), 9, "the wait status");
    Ok(())
}

fn monitor_is_killed(room: &Room) -> Verdict {
    is_killed(room, |scene| scene.monitor)
}

fn init_is_killed(room: &Room) -> Verdict {
    is_killed(room, |scene| scene.init)
}

/// Nothing goes on without them, and the caller learns it.
fn is_killed(room: &Room, whom: fn(&Scene<'_>) -> i32) -> Verdict {
    for starts in [true, false] {
        let scene = Scene::create(room, Ids::Host, "sleep 1000")?;
        if starts {
            scene.start()?;
        }
        signal(whom(&scene), Signal::KILL);
        ensure_eq!(scene.finish()?.into_raw(), 9, "the wait status, started: {starts}");
    }
    Ok(())
}

/// LXC's own way to end it: a signal to PID 1, which passes it on.
fn lxc_stop(room: &Room) -> Verdict {
    let script = "trap 'exit 4' TERM; echo ready; while :; do sleep 0.02; done";
    let scene = Scene::create(room, Ids::Host, script)?;
    scene.start()?;
    until("it to be ready", || scene.stdout().is_ok_and(|text| text == "ready\n"))?;
    let stopping = scene.lxc_in_background("lxc-stop", &["-n", &scene.name])?;
    ensure_eq!(scene.finish()?.into_raw(), 4 << 8, "the wait status");
    ensure!(stopping.wait(DEADLINE)?.status.success(), "lxc-stop");
    let scene = Scene::create(room, Ids::Host, "sleep 1000")?;
    scene.start()?;
    let stopping = scene.lxc_in_background("lxc-stop", &["-k", "-n", &scene.name])?;
    ensure_eq!(scene.finish()?.into_raw(), 9, "the wait status");
    ensure!(stopping.wait(DEADLINE)?.status.success(), "lxc-stop -k");
    Ok(())
}

/// Whoever attaches is in the container, and PID 1 reaps what they leave.
fn lxc_attach(room: &Room) -> Verdict {
    let scene = Scene::create(room, Ids::Host, "sleep 1000")?;
    scene.start()?;
    let attach =
        |script: &str| scene.lxc("lxc-attach", &["-n", &scene.name, "--", "/bin/sh", "-c", script]);
    ensure_eq!(attach("hostname; echo $$ >/tmp/pid; (sleep 0.1 &) ; :")?, "c1\n", "attached");
    let zombies = || {
        let below = lxcri_testkit::process::below(scene.init);
        below.into_iter().filter(|pid| *pid != scene.process).count()
    };
    until("the orphans to be reaped", || zombies() == 0)?;
    signal(scene.process, Signal::TERM);
    signal(scene.process, Signal::KILL);
    ensure_eq!(scene.finish()?.into_raw(), 9, "the wait status");
    Ok(())
}

/// The container ends with its process; what that left running neither holds up the end nor outlives
/// it.
fn what_the_process_leaves_running(room: &Room) -> Verdict {
    let scene = Scene::create(room, Ids::Host, "(trap '' TERM HUP; sleep 1000) & exit 5")?;
    scene.start()?;
    ensure_eq!(scene.finish()?.into_raw(), 5 << 8, "the wait status");
    Ok(())
}

fn program_is_missing(room: &Room) -> Verdict {
    let Err(Stop::Failed(words)) = Scene::create_as(room, Ids::Host, "0", &["/bin/nothing"]) else {
        fail!("a program that is missing was created");
    };
    let wanted = "create: exec: \"/bin/nothing\": no such file or directory\n";
    ensure_eq!(words, wanted, "the words of create");
    Ok(())
}

fn name_is_taken(room: &Room) -> Verdict {
    let scene = Scene::create(room, Ids::Host, "exit 6")?;
    let (code, words) = scene.create_again(room)?;
    ensure_eq!(code, 1, "create a second time: {words}");
    ensure!(words.contains("an LXC container of this name runs already"), "{words}");
    scene.start()?;
    ensure_eq!(scene.finish()?.into_raw(), 6 << 8, "the first one goes on");
    Ok(())
}

/// Where `create` dies, PID 1 is without a maker, and goes; with it goes all that depends on it.
fn create_is_killed(room: &Room) -> Verdict {
    for step in ["ready", "stand-in"] {
        let scene = Scene::killed_while_created(room, step)?;
        let left = || lxcri_testkit::process::below(std::process::id().cast_signed());
        let is_gone = || {
            lxcri_testkit::process::reap_orphans();
            left().is_empty()
        };
        until("everything to end", is_gone)?;
        scene.delete()?;
    }
    Ok(())
}

/// Where AppArmor is in force, PID 1 and the user's process are under LXC's profile for containers.
fn is_confined(scene: &Scene<'_>) -> Verdict {
    if !lxcri_linux::security_module::apparmor_is_enabled() {
        return Ok(());
    }
    for pid in [scene.init, scene.process] {
        let label = fs::read_to_string(format!("/proc/{pid}/attr/apparmor/current"))?;
        ensure_eq!(label, "lxc-container-default-cgns (enforce)\n", "the label of {pid}");
    }
    Ok(())
}

/// PID 1 is there once for every container.
fn small(room: &Room) -> Verdict {
    let program = lxcri_testkit::runtime::repository().join("dist/libexec/lxcri-init");
    let size = fs::metadata(program)?.len();
    ensure!(size <= 1 << 20, "lxcri-init has {size} bytes");
    let scene = Scene::create(room, Ids::Host, "read -r _ </hold")?;
    let root = room.dir().join("bundle/rootfs");
    Command::new("mkfifo").arg(root.join("hold")).status()?;
    scene.start()?;
    for (pid, most) in [(scene.init, 400), (scene.pid, 400)] {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let kib = |name: &str| -> Verdict<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).context(name)?;
            line.trim().trim_end_matches(" kB").parse().context(name)
        };
        let own = kib("Private_Dirty:")? + kib("SwapPss:")?;
        ensure!(own <= most, "process {pid} has {own} KiB of its own: {text}");
    }
    fs::write(root.join("hold"), "\n")?;
    ensure_eq!(scene.finish()?.into_raw(), 0, "the wait status");
    Ok(())
}

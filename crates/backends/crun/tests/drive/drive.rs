//! The tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lxcri_backend_crun::ROOM;
use lxcri_core::backend::{Finish, Room, Settings};
use lxcri_core::config::{self, Config, Override, Schema, Sources};
use lxcri_core::error::Error;
use lxcri_core::id::ContainerId;
use lxcri_core::lifecycle::Status;
use lxcri_core::runtime::{CreateOptions, ExecOptions, Runtime};
use lxcri_core::store::Store;
use lxcri_linux::process::Ended;
use serde_json::json;

use crate::bundle::{self, Bundle};

static ROOMS: [&Room; 1] = [&ROOM];

/// A state root of its own with a configuration that names the program.
struct Place {
    dir: tempfile::TempDir,
    config: Config,
}

impl Place {
    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn runtime(&self) -> Runtime<'_> {
        let settings =
            Settings { config: &self.config, systemd_cgroup: false, rootless: false, debug: false };
        Runtime::new(Store::new(self.root()), &ROOMS, settings)
    }

    /// What the state root holds beside what containers share.
    fn left(&self) -> Vec<String> {
        let items = std::fs::read_dir(self.root()).into_iter().flatten().flatten();
        let names = items.map(|item| item.file_name().to_string_lossy().into_owned());
        names.filter(|name| name != "@crun").collect()
    }
}

fn place_with(program: &Path) -> Place {
    let dir = tempfile::tempdir().unwrap();
    let section = ROOM.section.copied().unwrap();
    let schema = Schema::new([section], ["native", "crun"]).unwrap();
    let set =
        |section, key, value: &Path| Override { flag: "test", section, key, value: value.into() };
    let overrides = vec![
        set("runtime", "root", &dir.path().join("root")),
        set("crun", "path", program),
        set("runtime", "default_backend", Path::new("crun")),
    ];
    let sources = Sources {
        environment: vec![],
        system_directory: "/nonexistent".into(),
        ..Sources::of_this_process(None, overrides)
    };
    let config = config::load(&schema, &sources).unwrap();
    Place { dir, config }
}

/// The program and a place, or one line about what is missing.
fn place() -> Option<Place> {
    let named = std::env::var_os("LXCRI_TEST_OCI_RUNTIME").map(PathBuf::from);
    let usual = ["/usr/sbin/runc", "/usr/bin/runc"].map(PathBuf::from).into_iter();
    let program = named.into_iter().chain(usual).find(|path| path.exists());
    let (Some(program), true) = (program, rustix::process::getuid().is_root()) else {
        eprintln!("skipped: needs root and runc (or LXCRI_TEST_OCI_RUNTIME=/path)");
        return None;
    };
    if bundle::busybox().is_none() {
        eprintln!("skipped: needs busybox");
        return None;
    }
    Some(place_with(&program))
}

/// An id that no other test of this or another run has: it names cgroups.
fn id(name: &str) -> ContainerId {
    format!("drive-{name}-{}", std::process::id()).parse().unwrap()
}

fn options(id: &ContainerId, bundle: &Bundle) -> CreateOptions {
    CreateOptions {
        id: id.clone(),
        bundle: bundle.path().to_owned(),
        pid_file: None,
        console_socket: None,
        console: None,
        preserve_fds: 0,
        no_pivot: false,
        no_new_keyring: false,
        backend: None,
    }
}

/// Does what the command line does with a command to execute in place.
fn finish(finish: Finish) {
    let Finish::Execute(mut command) = finish else { panic!("nothing to execute") };
    assert!(Path::new(command.get_program()).is_absolute());
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

fn wait_for(runtime: &Runtime<'_>, id: &ContainerId, status: Status) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let now = runtime.state(id).unwrap().status;
        if now == status {
            return;
        }
        assert!(Instant::now() < deadline, "{now} does not become {status}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Directories of any cgroup hierarchy whose name holds the id.
fn cgroups(id: &ContainerId) -> Vec<PathBuf> {
    fn walk(directory: &Path, name: &str, found: &mut Vec<PathBuf>) {
        for item in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            if item.file_type().is_ok_and(|kind| kind.is_dir()) {
                let path = item.path();
                if item.file_name().to_string_lossy().contains(name) {
                    found.push(path.clone());
                }
                walk(&path, name, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new("/sys/fs/cgroup"), id.as_str(), &mut found);
    found
}

fn assert_nothing_left(place: &Place, id: &ContainerId) {
    assert_eq!(place.left(), Vec::<String>::new());
    assert_eq!(cgroups(id), Vec::<PathBuf>::new());
}

#[test]
fn a_whole_life() {
    let Some(place) = place() else { return };
    let (bundle, id) = (Bundle::new(&["sleep", "1000"]), id("life"));
    let runtime = place.runtime();
    let container = runtime.create(options(&id, &bundle)).unwrap();
    let init = container.record.process.unwrap();
    assert!(init.is_alive());
    let state = runtime.state(&id).unwrap();
    assert_eq!((state.status, state.pid), (Status::Created, init.pid));
    finish(runtime.start(&id).unwrap());
    assert_eq!(runtime.state(&id).unwrap().status, Status::Running);
    assert!(runtime.start(&id).unwrap_err().to_string().contains("already running"));

    let touch = |mut process: lxcri_core::oci::Process| {
        process.args = ["sh", "-c", "echo $$ >/seen; exit 7"].map(str::to_owned).into();
        Ok(process)
    };
    let running = runtime.exec(&id, touch, ExecOptions::default()).unwrap();
    assert_eq!(running.fd.reap(true).unwrap(), Some(Ended::Exited(7)));
    assert!(bundle.rootfs().join("seen").exists());

    runtime.pause(&id).unwrap();
    assert_eq!(runtime.state(&id).unwrap().status, Status::Paused);
    runtime.resume(&id).unwrap();
    assert_eq!(runtime.state(&id).unwrap().status, Status::Running);
    assert_eq!(runtime.processes(&id).unwrap(), [init.pid]);
    assert!(runtime.delete(&id, false).unwrap_err().to_string().contains("not stopped"));

    finish(runtime.kill(&id, 9, false).unwrap());
    wait_for(&runtime, &id, Status::Stopped);
    assert!(runtime.kill(&id, 9, false).unwrap_err().to_string().contains("not running"));
    let entry = runtime.store().open(&id).unwrap();
    let files = std::fs::read_dir(entry.path()).unwrap().flatten();
    let odd: Vec<_> = files
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains(".log") || name.contains("exec-") || name.contains(".sock"))
        .collect();
    assert_eq!(odd, Vec::<String>::new());
    runtime.delete(&id, false).unwrap();
    assert_nothing_left(&place, &id);
}

#[test]
fn exec_tells_what_is_missing_and_takes_what_ends_at_once() {
    let Some(place) = place() else { return };
    let (bundle, id) = (Bundle::new(&["sleep", "1000"]), id("exec"));
    let runtime = place.runtime();
    runtime.create(options(&id, &bundle)).unwrap();
    finish(runtime.start(&id).unwrap());
    let run = |args: &'static [&'static str]| {
        let process = move |mut process: lxcri_core::oci::Process| {
            process.args = args.iter().map(ToString::to_string).collect();
            Ok(process)
        };
        runtime.exec(&id, process, ExecOptions::default())
    };
    let error = run(&["no-such-program"]).unwrap_err().to_string();
    assert!(error.contains("not found in $PATH"), "{error}");
    for _ in 0..10 {
        let running = run(&["true"]).unwrap();
        assert_eq!(running.fd.reap(true).unwrap(), Some(Ended::Exited(0)));
    }
    runtime.delete(&id, true).unwrap();
    assert_nothing_left(&place, &id);
}

#[test]
fn a_create_that_fails_leaves_nothing() {
    let Some(place) = place() else { return };
    let runtime = place.runtime();
    let id = id("fails");
    let missing = Bundle::new(&["no-such-program"]);
    let error = runtime.create(options(&id, &missing)).unwrap_err().to_string();
    assert!(error.contains("not found in $PATH"), "{error}");
    assert_nothing_left(&place, &id);

    let mut hook = Bundle::new(&["true"]);
    hook.set("hooks", json!({"createRuntime": [{"path": "/bin/false"}]}));
    assert!(runtime.create(options(&id, &hook)).is_err());
    assert_nothing_left(&place, &id);

    // crun fails late here, and by itself leaves the cgroup.
    let mut join = Bundle::new(&["true"]);
    let namespaces = json!([{"type": "mount"}, {"type": "uts"}, {"type": "network", "path": "/proc/self/ns/none"}]);
    join.set_in("linux", "namespaces", namespaces);
    assert!(runtime.create(options(&id, &join)).is_err());
    assert_nothing_left(&place, &id);
}

#[test]
fn a_changed_bundle_is_not_used() {
    let Some(place) = place() else { return };
    let runtime = place.runtime();
    let id = id("changed");
    let mut bundle = Bundle::new(&["sleep", "1000"]);
    let config = bundle.path().join("config.json");
    let script = format!("sed -i s/1000/1001/ {}", config.display());
    bundle.set(
        "hooks",
        json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}),
    );
    match runtime.create(options(&id, &bundle)) {
        Ok(_) => {
            // crun was handed what had been checked.
            let read = |file: PathBuf| std::fs::read_to_string(file).unwrap();
            assert!(read(config).contains("1001"));
            let own = place.root().join(id.as_str()).join("runtime").join(id.as_str());
            assert!(read(own.join("config.json")).contains("\"1000\""));
            runtime.delete(&id, true).unwrap();
        }
        Err(error) => assert!(error.to_string().contains("was changed while"), "{error}"),
    }
    assert_nothing_left(&place, &id);
}

#[test]
fn an_init_that_was_killed_is_seen_as_stopped() {
    let Some(place) = place() else { return };
    let (bundle, id) = (Bundle::new(&["sleep", "1000"]), id("killed"));
    let runtime = place.runtime();
    let container = runtime.create(options(&id, &bundle)).unwrap();
    let fd = container.record.process.unwrap().open().unwrap().unwrap();
    assert!(fd.signal(9).unwrap());
    assert!(fd.wait_for_end(Some(Duration::from_secs(10))).unwrap());
    let state = runtime.state(&id).unwrap();
    assert_eq!((state.status, state.pid), (Status::Stopped, 0));
    runtime.delete(&id, false).unwrap();
    runtime.delete(&id, true).unwrap();
    assert_nothing_left(&place, &id);
}

/// What a `runc start` leaves that is killed in its last step: the fifo is still there.
#[test]
fn a_start_that_was_cut_off_has_begun() {
    let Some(place) = place() else { return };
    let runtime = place.runtime();
    let (id, bundle) = (id("cut-off"), Bundle::new(&["sleep", "1000"]));
    runtime.create(options(&id, &bundle)).unwrap();
    assert_eq!(runtime.state(&id).unwrap().status, Status::Created);
    finish(runtime.start(&id).unwrap());
    wait_for(&runtime, &id, Status::Running);
    let own = place.root().join(id.as_str()).join("runtime").join(id.as_str());
    let made = Command::new("mkfifo").arg(own.join("exec.fifo")).status().unwrap();
    assert!(made.success());
    let mut program = Command::new("runc");
    program.arg("--root").arg(own.parent().unwrap());
    let said = program.args(["state", id.as_str()]).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("\"created\""), "this runc knows better: {said}");
    assert_eq!(runtime.state(&id).unwrap().status, Status::Running);
    assert!(runtime.start(&id).is_err(), "it would wait for ever");
    runtime.delete(&id, true).unwrap();
    assert_nothing_left(&place, &id);
}

#[test]
fn an_update_reaches_the_kernel() {
    let Some(place) = place() else { return };
    let (bundle, id) = (Bundle::new(&["sleep", "1000"]), id("update"));
    let limits = || -> Vec<String> {
        let files = cgroups(&id).into_iter().map(|directory| directory.join("pids.max"));
        files.filter_map(|file| std::fs::read_to_string(file).ok()).collect()
    };
    let runtime = place.runtime();
    runtime.create(options(&id, &bundle)).unwrap();
    if limits().is_empty() {
        eprintln!("skipped: this cgroup view has no pids controller");
        return runtime.delete(&id, true).unwrap();
    }
    let resources = serde_json::from_value(json!({"pids": {"limit": 77}})).unwrap();
    runtime.update(&id, &resources).unwrap();
    assert_eq!(limits(), ["77\n"]);
    assert_eq!(runtime.stats(&id).unwrap().pids.map(|pids| pids.limit), Some(77));
    let unified = serde_json::from_value(json!({"unified": {"pids.max": "5"}})).unwrap();
    assert!(matches!(runtime.update(&id, &unified), Err(Error::Refused { .. })));
    assert_eq!(limits(), ["77\n"]);
    runtime.delete(&id, true).unwrap();
    assert_nothing_left(&place, &id);
}

#[test]
fn a_damaged_record_strands_nothing() {
    let Some(place) = place() else { return };
    let (bundle, id) = (Bundle::new(&["sleep", "1000"]), id("damaged"));
    let runtime = place.runtime();
    let container = runtime.create(options(&id, &bundle)).unwrap();
    for file in ["state.json", "crun.json"] {
        std::fs::write(container.entry.file(file), "{").unwrap();
    }
    assert!(runtime.state(&id).is_err());
    assert!(runtime.delete(&id, false).is_err());
    runtime.delete(&id, true).unwrap();
    assert!(!container.record.process.unwrap().is_alive());
    assert_nothing_left(&place, &id);
}

/// What has the container's names after another boot is somebody else's.
#[test]
fn a_damaged_record_of_another_boot_touches_nobody() {
    let Some(place) = place() else { return };
    let (bundle, id) = (Bundle::new(&["sleep", "1000"]), id("boot"));
    let runtime = place.runtime();
    let container = runtime.create(options(&id, &bundle)).unwrap();
    let kept = place.dir.path().join("kept");
    let copy = |from: &Path, to: &Path| {
        assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
    };
    copy(container.entry.path(), &kept);
    let boot = &container.record.boot_id;
    let part = std::fs::read_to_string(container.entry.file("crun.json")).unwrap();
    assert!(part.contains(boot), "{part}");
    let other = part.replace(boot, "00000000-1111-2222-3333-444444444444");
    std::fs::write(container.entry.file("crun.json"), other).unwrap();
    std::fs::write(container.entry.file("state.json"), "{").unwrap();
    runtime.delete(&id, true).unwrap();
    assert!(container.record.process.unwrap().is_alive(), "it killed a process of this boot");
    copy(&kept, container.entry.path());
    runtime.delete(&id, true).unwrap();
    assert!(!container.record.process.unwrap().is_alive());
    assert_nothing_left(&place, &id);
}

/// Neither does a program that is gone: the kernel still knows the container.
#[test]
fn a_container_outlives_its_program_and_can_be_deleted() {
    let Some(real) = place() else { return };
    let path: &str = real.config.get("crun", "path").map(Option::unwrap).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("gone");
    let script = format!("#!/bin/sh\nexec {path} \"$@\"\n");
    std::fs::write(&program, script).unwrap();
    assert!(Command::new("chmod").arg("755").arg(&program).status().unwrap().success());
    let place = place_with(&program);
    let (bundle, id) = (Bundle::new(&["sleep", "1000"]), id("gone"));
    let runtime = place.runtime();
    let container = runtime.create(options(&id, &bundle)).unwrap();
    std::fs::remove_file(&program).unwrap();
    // The kernel alone is asked.
    assert_eq!(runtime.state(&id).unwrap().status, Status::Created);
    runtime.delete(&id, true).unwrap();
    assert!(!container.record.process.unwrap().is_alive());
    assert_nothing_left(&place, &id);
}

#[test]
fn a_terminal_reaches_the_console() {
    use std::os::fd::AsFd;
    let Some(place) = place() else { return };
    let (mut bundle, id) = (Bundle::new(&["tty"]), id("terminal"));
    bundle.set_in("process", "terminal", json!(true));
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let runtime = place.runtime();
    let with_console = CreateOptions { console: Some(theirs.into()), ..options(&id, &bundle) };
    runtime.create(with_console).unwrap();
    let (master, _name) = lxcri_linux::pty::receive_fd(ours.as_fd()).unwrap();
    finish(runtime.start(&id).unwrap());
    let mut buffer = [0_u8; 64];
    let length = rustix::io::read(&master, &mut buffer).unwrap();
    let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
    assert!(said.starts_with("/dev/pts/") || said.starts_with("/dev/console"), "{said}");
    wait_for(&runtime, &id, Status::Stopped);
    runtime.delete(&id, false).unwrap();
    assert_nothing_left(&place, &id);
}

#[test]
fn a_missing_program_is_told_before_anything_is_made() {
    let place = place_with(Path::new("/nonexistent/crun"));
    let bundle = Bundle::new(&["true"]);
    let error = place.runtime().create(options(&id("none"), &bundle)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("/nonexistent/crun") && text.contains("no such file"), "{text}");
    assert!(!error.hints().is_empty());
    assert_eq!(place.left(), Vec::<String>::new());
    let probe = (ROOM.probe)(&place.config);
    assert!(matches!(probe, lxcri_core::backend::Probe::No { .. }), "{probe:?}");
}

#[test]
fn the_program_is_found() {
    let Some(place) = place() else { return };
    match (ROOM.probe)(&place.config) {
        lxcri_core::backend::Probe::Yes { version, detail } => {
            assert!(version.contains('.') && detail.starts_with('/'), "{version} {detail}");
        }
        other => panic!("{other:?}"),
    }
}

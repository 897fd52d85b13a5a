//! `create`, and nothing else: a process of its own with one thread, like the real one.

use std::error::Error;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

use lxcri_init::maker::{Handed, Maker, StandIn, Streams, listen};
use lxcri_init::task::Task;
use lxcri_liblxc::{Monitor, Order};
use lxcri_linux::capability::{self, Set};
use lxcri_linux::cgroup::Cgroup;
use lxcri_linux::payload::{CapabilitySets, Payload};
use lxcri_linux::process::{self, Ended, Process};
use lxcri_linux::rlimit::Resource;
use lxcri_linux::seal;
use lxcri_testkit::runtime::repository;

/// What is made, and left to be undone.
struct Made<'m> {
    monitor: Monitor,
    stand_in: Option<StandIn>,
    /// The step after which this process is killed; empty for none.
    dies_after: &'m str,
}

impl Made<'_> {
    fn reached(&self, step: &str) {
        if self.dies_after == step {
            process::end_like(Ended::Killed(9));
        }
    }
}

/// `DIR LXCPATH NAME USER DIES_AFTER PROGRAM ARGUMENTS…`: writes `DIR/pid` as a runtime writes its pid file, and
/// `DIR/own` with the pids of the monitor, PID 1 and the user's process.
pub(super) fn main(arguments: impl Iterator<Item = String>) -> ExitCode {
    let arguments: Vec<String> = arguments.collect();
    match create(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done where standard error is closed.
            let _ = writeln!(std::io::stderr(), "create: {error}");
            ExitCode::FAILURE
        }
    }
}

fn create(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [dir, lxcpath, name, user, dies_after, args @ ..] = arguments else {
        return Err("usage".into());
    };
    process::close_on_exec_from(3)?;
    let libexec = repository().join("dist/libexec");
    let program = seal::read_only(&libexec.join("lxcri-init"))?;
    let (maker, theirs) = Maker::new()?;
    let order = Order {
        program: &libexec.join("lxcri-liblxc"),
        name,
        lxcpath: Path::new(lxcpath),
        config: &Path::new(lxcpath).join(name).join("config"),
    };
    let monitor = Monitor::start(&order, program.as_fd(), &theirs)?;
    drop(theirs);
    let mut made = Made { monitor, stand_in: None, dies_after };
    let result =
        go_on(&mut made, &maker, program.as_fd(), Path::new(dir), &task(user.parse()?, args));
    if result.is_err() {
        if let Some(stand_in) = &made.stand_in {
            stand_in.end()?;
        }
        made.monitor.end()?;
    }
    result
}

fn go_on(
    made: &mut Made<'_>,
    maker: &Maker,
    program: std::os::fd::BorrowedFd<'_>,
    dir: &Path,
    task: &Task,
) -> Result<(), Box<dyn Error>> {
    let init = made.monitor.ready(maker)?;
    made.reached("ready");
    let cgroup = Cgroup::of_process(init.pid)?;
    made.stand_in = Some(StandIn::leave(init, cgroup.as_ref(), program)?);
    made.reached("stand-in");
    let control = listen(&dir.join("init.sock"))?;
    let handed = Handed {
        control: control.as_fd(),
        stand_in: made.stand_in.as_ref(),
        streams: Streams::Given([
            rustix::stdio::stdin(),
            rustix::stdio::stdout(),
            rustix::stdio::stderr(),
        ]),
    };
    let process = maker.create(task, &handed)?;
    let stand_in = made.stand_in.as_ref().ok_or("no stand-in")?.process()?;
    let own =
        [made.monitor.process()?, init, process].map(|process: Process| process.pid.to_string());
    std::fs::write(dir.join("own"), own.join(" "))?;
    std::fs::write(dir.join("pid"), stand_in.pid.to_string())?;
    Ok(())
}

fn task(user: u32, args: &[String]) -> Task {
    // What Docker gives, and the kernel has.
    let names = ["CHOWN", "KILL", "SETUID", "SETGID", "SETPCAP", "NET_BIND_SERVICE"];
    let names = names.map(|name| format!("CAP_{name}"));
    let (set, _unknown) = capability::parse(&names, capability::last_cap());
    Task {
        payload: Payload {
            args: args.to_vec(),
            env: vec!["PATH=/bin:/usr/bin".to_owned()],
            cwd: "/".into(),
            uid: user,
            gid: user,
            groups: vec![],
            umask: None,
            capabilities: CapabilitySets {
                bounding: set,
                effective: set,
                inheritable: Set::EMPTY,
                permitted: set,
                ambient: Set::EMPTY,
            },
            rlimits: vec![(Resource::Core, 0, 0), (Resource::Nofile, 77, 78)],
            no_new_privileges: true,
            oom_score_adj: None,
            apparmor_profile: None,
            personality: None,
            seccomp: None,
            session_keyring: None,
            preserve_fds: 0,
        },
        own_pids: true,
        proc_options: Some(["nosuid", "noexec", "nodev"].map(str::to_owned).into()),
        terminal: None,
        has_stand_in: true,
    }
}

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::XattrFlags;

use super::super::tests::{Place, Tar, blob, gzip, header, paths};
use super::*;
use crate::progress::{Silent, Task};

/// The test runner as the process that unpacks, where it was started as that.
#[test]
fn the_process_that_unpacks() {
    if std::env::args().any(|word| word == child::TEST) {
        child::worker_main();
    }
}

fn job(place: &Place, bytes: &[u8], diff_id: Digest) -> Job {
    let target = File::open(place.target()).unwrap().into();
    let (blob, ids) = (blob(bytes), Ids::default());
    Job { blob, digest: None, compression: None, diff_id, target, mode: place.mode, ids }
}

struct Sum<'s>(&'s mut u64);

impl Task for Sum<'static> {
    fn advance(&mut self, bytes: u64) {
        *self.0 += bytes;
    }

    fn end(self: Box<Self>, _how: crate::progress::Ended) {}
}

#[test]
fn a_process_unpacks_like_we_do() {
    let archive = Tar::default()
        .directory("d")
        .file("d/.wh..wh..opq", "")
        .file("d/f", vec![b'x'; 3 << 20])
        .hard_link("d/g", "d/f")
        .symlink("l", "/d")
        .file("l/through", "x")
        .device(b'3', "null", 1, 3)
        .file(".wh.gone", "")
        .end();
    let workers = Workers::start(2, &Limits::default());
    let packed = gzip(&archive);
    for mode in [Mode::Overlay, Mode::Apply] {
        let (one, other) = (Place::new(mode), Place::new(mode));
        for place in [&one, &other] {
            std::fs::create_dir_all(place.path("d/lower/deep")).unwrap();
            std::fs::write(place.path("gone"), "").unwrap();
            rustix::fs::setxattr(place.path("d"), "user.lower", b"1", XattrFlags::empty()).unwrap();
        }
        let total = Box::leak(Box::new(0));
        let mut sum = Sum(total);
        let done = workers.unpack(job(&one, &packed, Digest::of(&archive)), &mut sum).unwrap();
        assert_eq!(*sum.0, packed.len() as u64);
        assert_eq!(done, other.unpack(&archive).unwrap());
        assert_eq!(paths(&one.target()), paths(&other.target()));
        assert_eq!(one.path("d/lower").exists(), mode == Mode::Overlay, "there it is hidden");
        assert_eq!(one.path("d/f").metadata().unwrap().nlink(), 2);
        let mut value = [0_u8; 8];
        let opaque = rustix::fs::getxattr(one.path("d"), "trusted.overlay.opaque", &mut value[..]);
        assert_eq!(opaque.is_ok_and(|length| value[..length] == *b"y"), mode == Mode::Overlay);
    }
}

#[test]
fn its_problems_come_back() {
    let workers = Workers::start(1, &Limits::default());
    for (archive, message) in [
        (Tar::default().file("../x", "").end(), "entry \"../x\" has \"..\" in its path"),
        (
            Tar::default().hard_link("h", "/etc/passwd").end(),
            "entry \"h\" is a hard link to \"etc/passwd\", which is not there",
        ),
        (
            Tar::default().raw(header(b'\x1b', b"\x1b[2J", 0), b"").end(),
            "entry \"\\u{1b}[2J\" is of the unknown type '\\u{1b}'",
        ),
    ] {
        let place = Place::new(Mode::Overlay);
        let digest = Digest::of(&archive);
        let error = workers.unpack(job(&place, &archive, digest), &mut Silent).unwrap_err();
        assert_eq!(error.problem.to_string(), message);
        place.assert_outside_is_untouched();
    }
}

#[test]
fn a_full_disk() {
    let place = Place::new(Mode::Overlay);
    let at = place.target();
    let at = at.to_str().unwrap();
    let run = |arguments: &[&str]| {
        assert!(Command::new(arguments[0]).args(&arguments[1..]).status().unwrap().success());
    };
    run(&["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", at]);
    let archive = Tar::default().file("large", vec![7; 2 << 20]).end();
    let workers = Workers::start(1, &Limits::default());
    let error = workers.unpack(job(&place, &archive, Digest::of(&archive)), &mut Silent);
    run(&["umount", at]);
    let error = error.unwrap_err();
    let wanted = "no space is left on the filesystem, or the quota is used up (at \"large\")";
    assert_eq!(error.problem.to_string(), wanted);
    assert!(error.hints()[0].contains("prune"));
}

/// A layer that takes long and is short: a file of holes.
fn slow() -> (File, u64) {
    const SIZE: u64 = 4 << 30;
    let archive = blob(&Tar::default().raw(header(b'0', b"large", SIZE), b"").cut());
    archive.set_len(512 + SIZE + 1024).unwrap();
    (archive, SIZE)
}

/// The processes whose root directory is `root`.
fn processes_in(root: &Path) -> Vec<i32> {
    let wanted = root.metadata().unwrap();
    let same = |pid: &i32| {
        std::fs::metadata(format!("/proc/{pid}/root"))
            .is_ok_and(|root| (root.dev(), root.ino()) == (wanted.dev(), wanted.ino()))
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(same).collect()
}

fn wait_until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..2000 {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it never came");
}

#[test]
fn it_has_few_rights_and_its_death_is_an_error() {
    let place = Place::new(Mode::Overlay);
    let limits = Limits { ratio: u64::MAX, ..Limits::default() };
    let workers = Workers::start(1, &limits);
    let (blob, _) = slow();
    let mut job = job(&place, b"", Digest::of(b""));
    job.blob = blob;
    let error = std::thread::scope(|scope| {
        let unpacking = scope.spawn(|| workers.unpack(job, &mut Silent).unwrap_err());
        let pid = wait_until(|| {
            place.path("large").exists().then(|| processes_in(&place.target()).pop()).flatten()
        });
        // The first thread is the test runner's, which has started the others.
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(Result::unwrap);
        let tasks: Vec<_> = tasks.filter(|task| *task.file_name() != *pid.to_string()).collect();
        assert_eq!(tasks.len(), 4, "{tasks:?}");
        for task in tasks {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap();
            // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD, SETFCAP.
            let line = |name: &str| format!("{name}:\t000000008800001b");
            let wanted = ["CapPrm", "CapEff", "CapBnd"].map(line);
            for wanted in wanted.iter().map(String::as_str).chain(["NoNewPrivs:\t1", "Seccomp:\t2"])
            {
                assert!(status.contains(wanted), "{wanted} is missing in\n{status}");
            }
        }
        let open: Vec<_> = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().collect();
        assert!(open.len() <= 7, "{open:?}");
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        assert!(environment.is_empty(), "{environment:?}");
        let kill = Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
        assert!(kill.success());
        unpacking.join().unwrap()
    });
    let wanted = "the process that unpacks it ended before it was done (signal: 9 (SIGKILL))";
    assert_eq!(error.problem.to_string(), wanted);
}

#[test]
fn reports_are_not_believed() {
    let digest = Digest::of(b"");
    let order = Order {
        digest: None,
        compression: None,
        diff_id: digest.clone(),
        mode: Mode::Overlay,
        ids: Ids::default(),
        limits: Limits::default(),
    };
    let done = |diff_id| {
        Report::Done(Unpacked {
            diff_id,
            bytes: 0,
            entries: 0,
            dropped: super::super::Dropped::default(),
        })
    };
    for (reports, message) in [
        (vec![Report::Progress(11)], "talks nonsense: impossible progress"),
        (vec![Report::Progress(5), Report::Progress(5)], "talks nonsense: impossible progress"),
        (vec![Report::Opaque(vec![0; 4096])], "talks nonsense: too many opaque directories"),
        (vec![done(Digest::of(b"x"))], "talks nonsense: another layer than was asked for"),
        (
            vec![Report::Failed(Problem::Blob("\u{1b}[31m".into()))],
            "talks nonsense: a failure that is no text",
        ),
    ] {
        let (ours, theirs) = wire::pair().unwrap();
        for report in reports {
            wire::send_report(theirs.as_fd(), &report).unwrap();
        }
        let problem = listen(&ours, &order, 10, &mut Silent).unwrap_err();
        assert_eq!(problem, Problem::Worker(message.into()));
    }
    let (ours, theirs) = wire::pair().unwrap();
    wire::send_report(theirs.as_fd(), &done(digest)).unwrap();
    assert!(listen(&ours, &order, 10, &mut Silent).unwrap().is_some());
    drop(theirs);
    assert!(listen(&ours, &order, 10, &mut Silent).unwrap().is_none());
}

#[test]
fn marks_lead_nowhere_else() {
    let place = Place::new(Mode::Overlay);
    std::os::unix::fs::symlink(place.outside(), place.path("link")).unwrap();
    let target = File::open(place.target()).unwrap();
    for path in [&b"link"[..], b"../outside", b"/../outside", b"link/."] {
        assert!(super::super::mark_opaque(target.as_fd(), path).is_err(), "{path:?}");
    }
    let none = rustix::fs::getxattr(place.outside(), "trusted.overlay.opaque", &mut [0_u8; 8][..]);
    assert!(none.is_err());
}

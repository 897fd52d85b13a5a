//! Runs tests one at a time and compares the machine before and after each.

use std::any::Any;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use libtest_mimic::Arguments;
use libtest_mimic::Completion;
use libtest_mimic::Failed;
use libtest_mimic::Trial;

use crate::machine::Machine;
use crate::place::Place;
use crate::process;
use crate::room::Room;
use crate::runtime::Runtime;
use crate::verdict::Stop;
use crate::verdict::Verdict;
use crate::view::View;

/// Set to print what was compared after every test.
pub const VERBOSE: &str = "LXCRI_TEST_VERBOSE";

/// How often the machine is looked at again before a difference counts: the kernel removes mounts and
/// processes of a dead namespace a moment after its last process has been waited for.
const LOOKS: u32 = 100;

/// The body of a test.
pub type Body = Box<dyn FnOnce(&Room) -> Verdict + Send>;

/// Makes the runtime of a test, given the test's scratch directory.
pub type RuntimeMaker = fn(&std::path::Path) -> Verdict<Runtime>;

/// One test.
pub struct Test {
    /// The name, for instance `native::process::exit_code`.
    pub name: String,
    /// The program it runs against.
    pub runtime: RuntimeMaker,
    /// What it does.
    pub body: Body,
}

impl std::fmt::Debug for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Test").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The `main` of a test program: goes to its place, runs the tests, prints libtest's lines.
pub fn main(place: Place, tests: Vec<Test>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    if let Place::Guest(tier) = place
        && place.is_elsewhere()
        && !arguments.list
    {
        let is_asked = |test: &&Test| match &arguments.filter {
            Some(name) if arguments.exact => test.name == *name,
            Some(part) => test.name.contains(part),
            None => true,
        };
        return Place::run_in_guests(tier, tests.iter().filter(is_asked).count());
    }
    // The comparison before and after is exact because nothing else of ours runs meanwhile.
    arguments.test_threads = Some(1);
    let entered = if arguments.list { Ok(()) } else { prepare(place.view()) };
    let tests = Place::share_of(tests).into_iter();
    let trials = tests.map(|test| trial(place, test, entered.clone())).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    print_notes();
    conclusion.exit_code()
}

fn prepare(view: View) -> Verdict {
    view.enter()?;
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own))?;
    // Tests read modes and ownership back: they must not depend on the caller's mask.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    Ok(())
}

fn trial(place: Place, test: Test, entered: Verdict) -> Trial {
    let Test { name, runtime, body } = test;
    let title = name.clone();
    Trial::ignorable_test(title, move || {
        match entered.and_then(|()| judge(place.view(), &name, runtime, body)) {
            Ok(()) => Ok(Completion::Completed),
            Err(Stop::Skipped(reason)) => {
                let reason = reason.replace('\n', " ");
                note(format!("SKIP {place}::{name}: {reason}"));
                Ok(Completion::ignored_with(reason))
            }
            Err(Stop::Failed(message)) => Err(Failed::from(message)),
        }
    })
}

/// What is printed after the last test: between libtest's own lines nobody could read it.
static NOTES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Prints a line after the last test, on standard error.
pub fn note(line: String) {
    NOTES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
}

/// Skips with their reasons and comparisons, one per line, on standard error.
fn print_notes() {
    for line in NOTES.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        say(line);
    }
}

/// Prints a line on standard error at once: for what is known only when all tests have ended.
pub fn say(line: &str) {
    // Nothing sensible can be done when standard error is closed.
    let _unheard = writeln!(std::io::stderr(), "{line}");
}

/// Runs one test in a scratch directory of its own and compares the machine before and after.
fn judge(view: View, name: &str, runtime: RuntimeMaker, body: Body) -> Verdict {
    let scratch = tempfile::Builder::new().prefix("lxcri-test-").tempdir()?;
    // A container's root in a user namespace has to reach its root file system.
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755))?;
    let room = Room::new(runtime(scratch.path())?, view, scratch.path());
    let before = Machine::snapshot(&room);
    let verdict =
        std::panic::catch_unwind(AssertUnwindSafe(|| body(&room))).unwrap_or_else(|panic| {
            Err(Stop::Failed(format!("panicked: {}", words_of(panic.as_ref()))))
        });
    let (after, difference) = settle(&room, &before);
    if std::env::var_os(VERBOSE).is_some() || room.is_announced() {
        note(format!("{name}: nothing left, compared before: {before}"));
        note(format!("{name}: nothing left, compared after:  {after}"));
    }
    if difference.is_empty() {
        return verdict;
    }
    clean(&room, &before, &after);
    let left = difference.join("\n  ");
    match verdict {
        // What a failed test leaves is a consequence, still worth reading.
        Err(Stop::Failed(message)) => Err(Stop::Failed(format!("{message}\n  {left}"))),
        _ => Err(Stop::Failed(left)),
    }
}

/// Looks at the machine until it is as before, at most [`LOOKS`] times.
fn settle(room: &Room, before: &Machine) -> (Machine, Vec<String>) {
    let mut look = 0;
    loop {
        process::reap_orphans();
        let after = Machine::snapshot(room);
        let difference = before.difference(&after, room.runtime.executor);
        look += 1;
        if difference.is_empty() || look == LOOKS {
            return (after, difference);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Removes what a failed test left, so that the next one starts clean.
fn clean(room: &Room, before: &Machine, after: &Machine) {
    for entry in fs::read_dir(room.root()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        // Best effort: the program under test may be what is broken.
        let _result = room.call(&["delete", "--force", &name.to_string_lossy()]);
    }
    for dir in before.new_cgroups(after) {
        thaw(&dir);
    }
    for pid in Machine::processes() {
        process::signal(pid, rustix::process::Signal::KILL);
        let _gone = process::ends_within(pid, Duration::from_secs(2));
    }
    process::reap_orphans();
    for dir in before.new_cgroups(&Machine::snapshot(room)) {
        let _result = fs::remove_dir(dir);
    }
    unmount_below(room);
}

/// A frozen process cannot die in v1.
fn thaw(cgroup: &std::path::Path) {
    for (file, value) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
        if cgroup.join(file).exists() {
            let _result = fs::write(cgroup.join(file), value);
        }
    }
}

/// Detaches every mount below the scratch directory.
fn unmount_below(room: &Room) {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let targets = text.lines().rev().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    for target in targets.filter(|target| target.starts_with(room.dir())) {
        let _result = rustix::mount::unmount(target, rustix::mount::UnmountFlags::DETACH);
    }
}

/// The message of a panic.
fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

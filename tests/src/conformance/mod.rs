//! What every executor has to do, in every view.

pub mod devices;
pub mod escape;
pub mod exec;
pub mod hooks;
pub mod idmap;
pub mod lifecycle;
pub mod mounts;
pub mod namespaces;
pub mod paths;
pub mod peers;
pub mod process;
pub mod refused;
pub mod resources;
pub mod rootfs;
pub mod seccomp;
pub mod sysctl;
pub mod systemd;
pub mod terminal;
pub mod user;

use std::path::Path;
use std::process::ExitCode;

use lxcri_testkit::CgroupDriver;
use lxcri_testkit::Executor;
use lxcri_testkit::Place;
use lxcri_testkit::Room;
use lxcri_testkit::Runtime;
use lxcri_testkit::Tier;
use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::debian;
use lxcri_testkit::harness;
use lxcri_testkit::harness::Test;

use crate::registry::Case;

/// Every case, in the order in which they run.
#[must_use]
pub fn cases() -> Vec<Case> {
    let topics = [
        process::CASES,
        user::CASES,
        terminal::CASES,
        rootfs::CASES,
        mounts::CASES,
        idmap::CASES,
        namespaces::CASES,
        devices::CASES,
        paths::CASES,
        sysctl::CASES,
        seccomp::CASES,
        resources::CASES,
        hooks::CASES,
        lifecycle::CASES,
        exec::CASES,
        escape::CASES,
        refused::CASES,
        systemd::CASES,
    ];
    topics.concat()
}

/// The names of all cases, for the coverage table's proof that it names tests which exist.
#[must_use]
pub fn case_names() -> Vec<&'static str> {
    cases().iter().map(|case| case.name).collect()
}

/// The test program of one place: every case by our executor and by the crun backend, with the
/// cgroups made by each of `drivers`.
#[must_use]
pub fn main(place: Place, drivers: &[CgroupDriver]) -> ExitCode {
    let tests = drivers.iter().flat_map(|driver| tests_of(place, *driver));
    harness::main(place, tests.collect())
}

/// What the cgroup driver makes a difference to.
const OF_THE_DRIVER: [&str; 3] = ["systemd/", "resources/", "lifecycle/"];

fn tests_of(place: Place, driver: CgroupDriver) -> Vec<Test> {
    let view = place.view();
    let is_asked = |case: &Case| match (driver, place) {
        (CgroupDriver::Cgroupfs, _) => !systemd::is_about(case),
        // An emulated processor needs a second for each case; user-mode-linux runs them all.
        (CgroupDriver::Systemd, Place::Guest(Tier::Vm)) => {
            OF_THE_DRIVER.iter().any(|topic| case.name.starts_with(topic))
        }
        (CgroupDriver::Systemd, _) => true,
    };
    let cases: Vec<Case> = cases().into_iter().filter(is_asked).collect();
    let rooms: [(&str, harness::RuntimeMaker); 2] = match driver {
        CgroupDriver::Cgroupfs => [("native", native), ("crun", driven(view))],
        CgroupDriver::Systemd => [
            ("native-systemd", |dir| Ok(native(dir)?.with(CgroupDriver::Systemd))),
            ("crun-systemd", |dir| Ok(crun(dir)?.with(CgroupDriver::Systemd))),
        ],
    };
    let of_room =
        |(prefix, runtime)| cases.iter().map(move |case| room_test(prefix, *case, runtime));
    rooms.into_iter().flat_map(of_room).collect()
}

/// A case that is skipped where the executor is known not to do it.
fn room_test(prefix: &str, case: Case, runtime: harness::RuntimeMaker) -> Test {
    let mut test = crate::registry::test(prefix, case, runtime);
    test.body = Box::new(move |room: &Room| {
        peers::skip_if_unable(case.name, room)?;
        (case.run)(room)
    });
    test
}

/// Our own executor.
pub(crate) fn native(_dir: &Path) -> Verdict<Runtime> {
    Ok(Runtime::native())
}

/// crun refuses the hybrid view; there the crun backend drives Debian's runc.
pub(crate) fn driven(view: View) -> harness::RuntimeMaker {
    match view {
        View::Hybrid => |dir| Runtime::driving(Path::new("/usr/sbin/runc"), Executor::OldRunc, dir),
        View::V1 | View::V2 => crun,
    }
}

fn crun(dir: &Path) -> Verdict<Runtime> {
    Runtime::driving(&debian::peers()?.join("bin/crun"), Executor::Crun, dir)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        let names = super::case_names();
        let unique: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(unique.len(), names.len());
    }

    #[test]
    fn what_peers_cannot_do_names_cases_that_exist() {
        let names = super::case_names();
        for entry in super::peers::UNABLE {
            assert!(names.contains(&entry.case), "{}", entry.case);
        }
    }
}

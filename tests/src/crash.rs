//! The runtime dies by SIGKILL at every one of its steps, and at random moments. Whatever was cut
//! off: `state` and `list` answer, what lives can be used, `delete --force` removes everything (the
//! harness compares the machine), and the id is free again.
//!
//! There is one test per room, verb and step, made from the lists that the rooms themselves are
//! built with. A step that no code reaches fails its test: the program did not die.

mod answers;
pub(crate) mod random;
pub mod release;
pub(crate) mod scene;
mod verb;

use std::process::ExitCode;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use lxcri_testkit::CgroupDriver;
use lxcri_testkit::Place;
use lxcri_testkit::Room;
use lxcri_testkit::Stop;
use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::harness;
use lxcri_testkit::harness::RuntimeMaker;
use lxcri_testkit::harness::Test;
use lxcri_testkit::skip;

use crate::conformance::driven;
use crate::conformance::native;
use crate::registry;
use scene::Scene;
use verb::Verb;

/// The steps of one room.
#[derive(Debug)]
pub struct Steps {
    room: &'static str,
    names: Vec<&'static str>,
    hit: AtomicUsize,
}

impl Steps {
    /// The steps `names` of `room`.
    pub fn new(room: &'static str, names: impl Iterator<Item = &'static str>) -> Self {
        Self { room, names: names.collect(), hit: AtomicUsize::new(0) }
    }

    fn tests(&'static self, view: View, driver: CgroupDriver) -> Vec<Test> {
        let runtime = runtime_of(self.room, view, driver);
        let name = |name: &str| format!("{}::{}", self.room, name.replace('/', "::"));
        let steps = self.names.iter().map(|step| Test {
            name: name(step),
            runtime,
            body: Box::new(|room| self.at_step(room, step)),
        });
        let random = Verb::ALL.into_iter().map(|verb| Test {
            name: name(&format!("random/{verb}")),
            runtime,
            body: Box::new(move |room| {
                random::kills(&format!("{} {verb}", self.room), verb as u64, || {
                    Scene::set(room, verb, "")
                })
            }),
        });
        steps.chain(random).collect()
    }

    fn at_step(&self, room: &Room, step: &'static str) -> Verdict {
        if room.runtime.driver == CgroupDriver::Systemd && step == "create/first-hierarchy" {
            skip!("systemd makes the hierarchies of a scope");
        }
        let (verb, rest) = step.split_once('/').unwrap_or((step, ""));
        let verb = Verb::parse(verb)?;
        let scene = Scene::set(room, verb, step)?;
        let is_of_a_child = rest.contains('/');
        if is_of_a_child { scene.child_dies() } else { scene.dies() }?;
        self.hit.fetch_add(1, Ordering::Relaxed);
        scene.aftermath()?;
        scene.clear()
    }
}

/// The test program of one place, with the cgroups made by `driver`.
#[must_use]
pub fn main(place: Place, driver: CgroupDriver, rooms: impl Iterator<Item = Steps>) -> ExitCode {
    // Tests are 'static, and this is the only use of them in the life of the program.
    let rooms: &'static [Steps] = Box::leak(rooms.collect());
    let steps = rooms.iter().flat_map(|steps| steps.tests(place.view(), driver));
    let others = release::CASES.iter().map(|case| registry::test("release", *case, native));
    let code = harness::main(place, steps.chain(others).collect());
    if place.is_elsewhere() {
        return code;
    }
    for Steps { room, names, hit } in rooms {
        let hit = hit.load(Ordering::Relaxed);
        harness::say(&format!("fail points of {room} in {place}: {hit} of {} hit", names.len()));
    }
    code
}

/// The room in the test's view, by a program with fail points.
fn runtime_of(room: &str, view: View, driver: CgroupDriver) -> RuntimeMaker {
    use CgroupDriver::{Cgroupfs, Systemd};
    match (room, view, driver) {
        ("native", _, Cgroupfs) => |dir| native(dir)?.with_fail_points(),
        ("native", _, Systemd) => |dir| native(dir)?.with(Systemd).with_fail_points(),
        ("crun", View::Hybrid, Cgroupfs) => |dir| driven(View::Hybrid)(dir)?.with_fail_points(),
        ("crun", View::V1, Cgroupfs) => |dir| driven(View::V1)(dir)?.with_fail_points(),
        ("crun", View::V2, Cgroupfs) => |dir| driven(View::V2)(dir)?.with_fail_points(),
        ("crun", _, Systemd) => |dir| driven(View::V2)(dir)?.with(Systemd).with_fail_points(),
        _ => |_| Err(Stop::Failed("the crash tests cannot set this room up".to_owned())),
    }
}

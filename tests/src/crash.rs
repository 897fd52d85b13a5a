//! The runtime dies by SIGKILL at every one of its steps, and at random moments. Whatever was cut
//! off: `state` and `list` answer, what lives can be used, `delete --force` removes everything (the
//! harness compares the machine), and the id is free again.
//!
//! There is one test per room, verb and step, made from the lists that the rooms themselves are
//! built with. A step that no code reaches fails its test: the program did not die.

mod answers;
pub mod release;
mod scene;
mod verb;

use std::process::ExitCode;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use lxcri_testkit::Room;
use lxcri_testkit::Stop;
use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::harness;
use lxcri_testkit::harness::RuntimeMaker;
use lxcri_testkit::harness::Test;

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

    fn tests(&'static self, view: View) -> Vec<Test> {
        let runtime = runtime_of(self.room, view);
        let name = |name: &str| format!("{}::{}", self.room, name.replace('/', "::"));
        let steps = self.names.iter().map(|step| Test {
            name: name(step),
            runtime,
            body: Box::new(|room| self.at_step(room, step)),
        });
        let random = Verb::ALL.into_iter().map(|verb| Test {
            name: name(&format!("random/{verb}")),
            runtime,
            body: Box::new(move |room| scene::random_kills(room, self.room, verb)),
        });
        steps.chain(random).collect()
    }

    fn at_step(&self, room: &Room, step: &'static str) -> Verdict {
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

/// The test program of one view.
#[must_use]
pub fn main(view: View, rooms: impl Iterator<Item = Steps>) -> ExitCode {
    // Tests are 'static, and this is the only use of them in the life of the program.
    let rooms: &'static [Steps] = Box::leak(rooms.collect());
    let steps = rooms.iter().flat_map(|steps| steps.tests(view));
    let others = release::CASES.iter().map(|case| registry::test("release", *case, native));
    let code = harness::main(view, steps.chain(others).collect());
    for Steps { room, names, hit } in rooms {
        let hit = hit.load(Ordering::Relaxed);
        harness::say(&format!("fail points of {room} in {view}: {hit} of {} hit", names.len()));
    }
    code
}

/// The room in the test's view, by a program with fail points.
fn runtime_of(room: &str, view: View) -> RuntimeMaker {
    match (room, view) {
        ("native", _) => |dir| native(dir)?.with_fail_points(),
        ("crun", View::Hybrid) => |dir| driven(View::Hybrid)(dir)?.with_fail_points(),
        ("crun", View::V1) => |dir| driven(View::V1)(dir)?.with_fail_points(),
        ("crun", View::V2) => |dir| driven(View::V2)(dir)?.with_fail_points(),
        _ => |_| Err(Stop::Failed("the crash tests cannot set this room up".to_owned())),
    }
}

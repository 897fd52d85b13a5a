//! What works on images dies by SIGKILL at every one of its steps, and at random moments. Whatever
//! was cut off: `image list` answers, `image verify` finds nothing, the same command again succeeds,
//! the image runs with all of its files, and everything can be removed.
//!
//! There is one test per step, made from the lists of the source. A step that no code reaches fails
//! its test: the program did not die.

mod scene;
mod verb;

use std::process::ExitCode;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use lxcri_testkit::Place;
use lxcri_testkit::Room;
use lxcri_testkit::Runtime;
use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::harness;
use lxcri_testkit::harness::RuntimeMaker;
use lxcri_testkit::harness::Test;

use crate::crash::random;
use scene::Scene;
use verb::Verb;

/// How many steps were hit.
static HIT: AtomicUsize = AtomicUsize::new(0);

/// The test program: `steps` are all that there are.
#[must_use]
pub fn main(steps: impl Iterator<Item = &'static str>) -> ExitCode {
    let steps: Vec<_> = steps.collect();
    let count = steps.len();
    let tests = steps.into_iter().map(|step| {
        test(&step.replace('/', "::"), Box::new(move |room: &Room| at_step(room, step)))
    });
    let random = [Verb::Pull, Verb::Import, Verb::Run].into_iter().map(|verb| {
        test(&format!("random::{verb}"), Box::new(move |room: &Room| random_kills(room, verb)))
    });
    let delete = test("delete", Box::new(deletes));
    let between = test("between::create_and_delete", Box::new(delete_between));
    let tests = tests.chain(random).chain([delete, between]);
    let code = harness::main(Place::Host(View::Hybrid), tests.collect());
    let hit = HIT.load(Ordering::Relaxed);
    harness::say(&format!("fail points of images: {hit} of {count} hit"));
    code
}

fn test(name: &str, body: harness::Body) -> Test {
    let runtime: RuntimeMaker = |_dir| Runtime::native().with_fail_points();
    Test { name: format!("images::{name}"), runtime, body }
}

/// Dies at the step twice: once everything is removed at once, once the command is called again.
fn at_step(room: &Room, step: &'static str) -> Verdict {
    let scene = Scene::new(room, Verb::of(step)?, step)?;
    scene.set()?;
    scene.dies()?;
    HIT.fetch_add(1, Ordering::Relaxed);
    scene.clear()?;
    scene.set()?;
    scene.dies()?;
    scene.aftermath()?;
    scene.clear()
}

fn random_kills(room: &Room, verb: Verb) -> Verdict {
    let scene = Scene::new(room, verb, "")?;
    random::kills(&format!("image {verb}"), verb as u64, || {
        scene.set()?;
        Ok(&scene)
    })
}

/// `delete` of a container that is just being made.
fn delete_between(room: &Room) -> Verdict {
    let scene = Scene::new(room, Verb::Create, "")?;
    scene.set()?;
    scene.delete_waits()?;
    scene.clear()
}

/// `delete` without force, of a container of an image that has ended.
fn deletes(room: &Room) -> Verdict {
    let scene = Scene::new(room, Verb::Run, "")?;
    scene.set()?;
    scene.deletes()?;
    scene.clear()
}

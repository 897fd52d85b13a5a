//! What is done with an image that is there already.

use std::path::Path;
use std::process::Command;

use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::podman::Podman;
use lxcri_testkit::process;

use super::Scene;
use super::archive::LARGE;
use super::archive::SMALL;
use super::cold::Cold;
use super::ours::Ours;
use super::stores;
use super::timed;
use crate::bundles::Original;
use crate::figures::BundleKind;
use crate::figures::Row;
use crate::figures::Samples;
use crate::figures::Who;
use crate::measure::PAYLOAD;
use crate::measure::Unmount;
use crate::measure::milliseconds;
use crate::measure::mount_state;
use crate::measure::order;

/// Rounds whose times are thrown away.
const WARM_UP: usize = 3;

/// What Podman needs on machines without CAP_SYS_RESOURCE and in views without a pids controller.
const LIMITS: [&str; 5] = [
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=1024:1024",
    "--pids-limit=-1",
    "--network=none",
    "--quiet",
];

/// Something that is timed, and what takes it back.
struct Task {
    row: Row,
    who: Who,
    timed: Command,
    undone: Option<Command>,
}

/// Runs and second containers, interleaved.
pub(super) fn measure(
    scene: &Scene<'_>,
    rounds: usize,
    scratch: &Path,
    samples: &mut Samples,
) -> Verdict {
    let cold = Cold::make(scratch)?;
    let (dir, state) = (cold.path(), scratch.join("state"));
    mount_state(&state)?;
    let _unmounted_at_the_end = Unmount(&state);
    let podman = stores::podman(scene, dir)?;
    let archive = scene.archives.gzip_oci.to_string_lossy();
    podman.call_within(super::DEADLINE, &["load", "--quiet", "--input", &archive])?.ok()?;
    podman.call(&by_podman("create", &["--name=first"]).each())?.ok()?;
    let mut tasks = podman_tasks(&podman);
    let ours = Ours::new(scene, dir).with_root(&state);
    if !scene.peers_alone {
        timed(&mut first_containers(scene, &ours), dir)?;
        let original = Original::make(BundleKind::Plain, View::V2, dir)?;
        let bundle = original.bundle(&dir.join("bundle"), &[PAYLOAD])?;
        tasks.extend(our_tasks(&ours, &bundle.dir));
    }
    let result = take_rounds(&mut tasks, rounds, dir, samples);
    if !scene.peers_alone {
        timed(&mut [ours.delete("first-large"), ours.delete("first-small")], dir)?;
        process::reap_orphans();
    }
    result
}

fn take_rounds(tasks: &mut [Task], rounds: usize, dir: &Path, samples: &mut Samples) -> Verdict {
    for round in 0..rounds + WARM_UP {
        for index in order(round, tasks.len()) {
            let Some(task) = tasks.get_mut(index) else { continue };
            let time = timed(std::slice::from_mut(&mut task.timed), dir)
                .map_err(|stop| stop.within(task.who.name()))?;
            if let Some(undone) = &mut task.undone {
                timed(std::slice::from_mut(undone), dir)?;
                process::reap_orphans();
            }
            if round >= WARM_UP {
                samples.push(task.row, task.who, milliseconds(time));
            }
        }
    }
    Ok(())
}

/// The images in our store, with one container each.
fn first_containers(scene: &Scene<'_>, ours: &Ours) -> [Command; 4] {
    [
        ours.import(&scene.archives.gzip_oci),
        ours.import(&scene.archives.small),
        ours.create(LARGE, "first-large"),
        ours.create(SMALL, "first-small"),
    ]
}

fn our_tasks(ours: &Ours, bundle: &Path) -> Vec<Task> {
    let second = |who, image| {
        let (timed, undone) = (ours.create(image, "second"), Some(ours.delete("second")));
        Task { row: Row::Second, who, timed, undone }
    };
    let run = |who, timed| Task { row: Row::ImageRun, who, timed, undone: None };
    vec![
        run(Who::Ours, ours.run(LARGE)),
        run(Who::Bundle, ours.run_bundle(bundle)),
        second(Who::Ours, LARGE),
        second(Who::Small, SMALL),
    ]
}

fn podman_tasks(podman: &Podman) -> Vec<Task> {
    let run = podman.command(&by_podman("run", &["--rm"]).each());
    let create = podman.command(&by_podman("create", &["--name=second"]).each());
    let remove = podman.command(&["rm", "second"]);
    vec![
        Task { row: Row::ImageRun, who: Who::Podman, timed: run, undone: None },
        Task { row: Row::Second, who: Who::Podman, timed: create, undone: Some(remove) },
    ]
}

/// `COMMAND FLAGS… IMAGE true` for Podman.
struct ByPodman(Vec<String>);

fn by_podman(command: &str, flags: &[&str]) -> ByPodman {
    let image = format!("localhost/{LARGE}");
    let words = [&[command], flags, &LIMITS, &[image.as_str(), "true"]].concat();
    ByPodman(words.into_iter().map(str::to_owned).collect())
}

impl ByPodman {
    fn each(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

//! Measures what becomes of an image, beside Podman, Docker, skopeo and umoci.
//!
//! Everybody starts each time with nothing: a store of their own on a file system of its own, made for one
//! measurement. The archive has been read before, and nothing waits to be written to the disk.

mod archive;
mod cold;
mod ours;
mod present;
mod registry;
mod stores;

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use lxcri_testkit::Finished;
use lxcri_testkit::Verdict;
use lxcri_testkit::process::Started;
use lxcri_testkit::process::output_of;
use lxcri_testkit::verdict::Context;

use crate::figures::BundleKind;
use crate::figures::Row;
use crate::figures::Samples;
use crate::figures::Table;
use crate::figures::Who;
use crate::measure::milliseconds;
use crate::measure::order;
use crate::request::Programs;
use crate::request::Request;

use archive::Archives;
use cold::Cold;
use ours::Ours;
use registry::Registry;

/// How long one command may take.
const DEADLINE: Duration = Duration::from_secs(600);

/// How often the peak memory of unpacking is looked at: it hardly varies.
const PEAK_ROUNDS: usize = 3;

/// What everybody works with.
#[derive(Debug)]
struct Scene<'a> {
    programs: &'a Programs,
    archives: Archives,
    registry: Registry,
    /// Without ours, where only the peers are measured.
    peers_alone: bool,
}

/// One way from an archive or a registry to a root file system; `dir` is empty and goes afterwards.
type Way = fn(scene: &Scene<'_>, dir: &Path) -> Verdict<Duration>;

/// Who goes which way.
const WAYS: &[(Row, Who, Way)] = &[
    (Row::Unpack, Who::Ours, ours::unpack),
    (Row::Unpack, Who::Podman, stores::podman_load),
    (Row::Unpack, Who::Docker, stores::docker_load),
    (Row::Unpack, Who::Skopeo, stores::skopeo_unpack),
    (Row::Unpack, Who::Bare, stores::gzip_tar),
    (Row::UnpackZstd, Who::Ours, ours::unpack_zstd),
    (Row::UnpackZstd, Who::Podman, stores::podman_load_zstd),
    (Row::Pull, Who::Ours, ours::pull),
    (Row::Pull, Who::Podman, stores::podman_pull),
    (Row::Pull, Who::Skopeo, stores::skopeo_pull),
];

/// Measures everything.
pub(crate) fn table(request: &Request) -> Verdict<Table> {
    let scratch = tempfile::tempdir()?;
    let archives = Archives::make(scratch.path())?;
    let registry = Registry::start(scratch.path(), &archives)?;
    let scene =
        Scene { programs: &request.programs, archives, registry, peers_alone: request.peers_alone };
    let mut samples = Samples::default();
    take_rounds(&scene, request.image_rounds, scratch.path(), &mut samples)?;
    if !scene.peers_alone {
        peaks(&scene, request.image_rounds, scratch.path(), &mut samples)?;
    }
    present::measure(&scene, request.rounds, scratch.path(), &mut samples)?;
    let mut table = Table::new("v2".to_owned(), BundleKind::Image, &samples);
    table.notes = notes(&scene, request.image_rounds)?;
    Ok(table)
}

/// What a reader has to know.
fn notes(scene: &Scene<'_>, rounds: usize) -> Verdict<Vec<String>> {
    let version = |command: &mut Command| -> Verdict<String> {
        let printed = output_of(command)?;
        Ok(printed.lines().next().unwrap_or_default().to_owned())
    };
    let docker = lxcri_testkit::debian::docker()?.join("bin/docker");
    let versions = [
        version(Command::new("podman").arg("--version"))?,
        version(Command::new(docker).arg("--version"))?,
        version(Command::new("skopeo").arg("--version"))?,
        version(Command::new("umoci").arg("--version"))?,
    ];
    let mut notes = vec![
        format!(
            "The image: {}. {rounds} rounds of what takes seconds.",
            scene.archives.describe()?
        ),
        format!("Peers, of Debian: {}.", versions.join(", ")),
    ];
    if scene.peers_alone {
        notes.push("Ours was not measured.".to_owned());
    }
    Ok(notes)
}

/// Everybody once per round, in another order each time.
fn take_rounds(scene: &Scene<'_>, rounds: usize, scratch: &Path, samples: &mut Samples) -> Verdict {
    let ways: Vec<_> =
        WAYS.iter().filter(|(_, who, _)| !(scene.peers_alone && *who == Who::Ours)).collect();
    for round in 0..rounds {
        for index in order(round, ways.len()) {
            let Some((row, who, way)) = ways.get(index) else { continue };
            let dir = Cold::make(scratch)?;
            let time = way(scene, dir.path()).map_err(|stop| stop.within(who.name()))?;
            samples.push(*row, *who, milliseconds(time));
        }
    }
    Ok(())
}

/// The peak memory of an import: the largest `VmHWM` of every process of those that lived at one time,
/// added up.
fn peaks(scene: &Scene<'_>, rounds: usize, scratch: &Path, samples: &mut Samples) -> Verdict {
    for _ in 0..rounds.min(PEAK_ROUNDS) {
        let dir = Cold::make(scratch)?;
        let import = Ours::new(scene, dir.path()).import(&scene.archives.gzip_oci);
        let mut traced = Command::new(&scene.programs.peak);
        traced.arg("-").arg(import.get_program()).args(import.get_args());
        for (name, value) in import.get_envs() {
            traced.env(name, value.unwrap_or_default());
        }
        let mut sum = 0.0;
        for line in output_of(&mut traced)?.lines() {
            let kib = line.split(' ').next().unwrap_or_default();
            sum += kib.parse::<f64>().context(line)?;
        }
        samples.push(Row::UnpackPeak, Who::Ours, sum);
    }
    Ok(())
}

/// How long commands take, one after another; anything but success is an error, with their words.
fn timed(commands: &mut [Command], dir: &Path) -> Verdict<Duration> {
    let begin = Instant::now();
    let mut ended = Vec::new();
    for (number, command) in commands.iter_mut().enumerate() {
        command.env("TMPDIR", dir);
        ended.push(Started::new(command, dir, &format!("timed{number}"), None)?.wait(DEADLINE)?);
        if ended.last().is_some_and(|ended| !ended.status.success()) {
            break;
        }
    }
    let time = begin.elapsed();
    for ended in ended {
        Finished::read(ended)?.ok()?;
    }
    Ok(time)
}

//! How the others get from an archive or a registry to a root file system.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lxcri_testkit::Verdict;
use lxcri_testkit::docker::Docker;
use lxcri_testkit::podman::Podman;
use lxcri_testkit::skopeo::Skopeo;
use lxcri_testkit::verdict::Context;

use super::Scene;
use super::timed;

/// `podman load`: the layers are then unpacked side by side, ready to be stacked.
pub(super) fn podman_load(scene: &Scene<'_>, dir: &Path) -> Verdict<Duration> {
    load_into_podman(scene, &scene.archives.gzip_oci, dir)
}

pub(super) fn podman_load_zstd(scene: &Scene<'_>, dir: &Path) -> Verdict<Duration> {
    load_into_podman(scene, &scene.archives.zstd_oci, dir)
}

fn load_into_podman(scene: &Scene<'_>, archive: &Path, dir: &Path) -> Verdict<Duration> {
    let podman = podman(scene, dir)?;
    timed(&mut [podman.command(&["load", "--quiet", "--input", &archive.to_string_lossy()])], dir)
}

pub(super) fn podman(scene: &Scene<'_>, dir: &Path) -> Verdict<Podman> {
    Ok(Podman::new(dir, &scene.programs.crun)?.with_overlays())
}

pub(super) fn podman_pull(scene: &Scene<'_>, dir: &Path) -> Verdict<Duration> {
    let (podman, reference) = (podman(scene, dir)?, scene.registry.reference());
    timed(&mut [podman.command(&["pull", "--quiet", "--tls-verify=false", &reference])], dir)
}

/// `docker load`. The engine runs already: it would on any machine that has it.
pub(super) fn docker_load(scene: &Scene<'_>, dir: &Path) -> Verdict<Duration> {
    let docker = Docker::start(dir)?;
    let archive = scene.archives.gzip_docker.to_string_lossy();
    timed(&mut [docker.command(&["load", "--quiet", "--input", &archive])], dir)
}

pub(super) fn skopeo_unpack(scene: &Scene<'_>, dir: &Path) -> Verdict<Duration> {
    let from = format!("oci-archive:{}", scene.archives.gzip_oci.display());
    copy_and_unpack(&["copy", "--quiet", &from], dir)
}

pub(super) fn skopeo_pull(scene: &Scene<'_>, dir: &Path) -> Verdict<Duration> {
    let from = format!("docker://{}", scene.registry.reference());
    copy_and_unpack(&["copy", "--quiet", "--src-tls-verify=false", &from], dir)
}

/// `skopeo copy` to an OCI image layout, then `umoci unpack`.
fn copy_and_unpack(copy: &[&str], dir: &Path) -> Verdict<Duration> {
    let (skopeo, layout) = (Skopeo::new(dir)?, dir.join("layout"));
    let to = format!("oci:{}:1", layout.display());
    let copy = skopeo.command(&[copy, &[&to]].concat());
    let unpack = Skopeo::unpack_command(&layout, "1", &dir.join("bundle"));
    timed(&mut [copy, unpack], dir)
}

/// Each layer to a directory of its own, as many at once as there are processors.
pub(super) fn gzip_tar(scene: &Scene<'_>, dir: &Path) -> Verdict<Duration> {
    let mut words = String::new();
    for (number, blob) in scene.archives.blobs.iter().enumerate() {
        let layer = dir.join(number.to_string());
        std::fs::create_dir(&layer).context(layer.display())?;
        words.push_str(&format!("{}\n{}\n", blob.display(), layer.display()));
    }
    let list = dir.join("list");
    std::fs::write(&list, words).context(list.display())?;
    let mut all = Command::new("xargs");
    all.arg("--arg-file").arg(&list).args(["-L", "2", "-P", &crate::measure::cores().to_string()]);
    all.args(["sh", "-c", "gzip -dc \"$1\" | tar -x -C \"$2\"", "sh"]);
    timed(&mut [all], dir)
}

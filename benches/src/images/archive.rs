//! The images that are measured: a large one, and a small one with as many layers.

use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use lxcri_testkit::Verdict;
use lxcri_testkit::debian;
use lxcri_testkit::image::Compression;
use lxcri_testkit::image::Entry;
use lxcri_testkit::image::Form;
use lxcri_testkit::image::Layer;
use lxcri_testkit::image::busybox_image;
use lxcri_testkit::process::output_of;
use lxcri_testkit::random::Random;
use lxcri_testkit::verdict::Context;

/// The name that the archives of the large image give it (`testing/scripts/bench-image.sh`).
pub(super) const LARGE: &str = "lxcri-bench:1";

/// The name of the small image.
pub(super) const SMALL: &str = "lxcri-small:1";

/// The layers of both.
const LAYERS: usize = 10;

/// Bytes of the one file of each of the small image's upper layers: 5 MB in all, with busybox.
const SMALL_FILE: usize = 340_000;

/// Archives of the same two images.
#[derive(Debug)]
pub(super) struct Archives {
    dir: PathBuf,
    /// The large image with gzip layers, as an OCI archive.
    pub(super) gzip_oci: PathBuf,
    /// The same layers, as `docker save` keeps images.
    pub(super) gzip_docker: PathBuf,
    /// The large image with zstd layers.
    pub(super) zstd_oci: PathBuf,
    /// The blobs of the gzip layers, each a file of its own.
    pub(super) blobs: Vec<PathBuf>,
    /// The small image, as an OCI archive.
    pub(super) small: PathBuf,
}

impl Archives {
    /// Makes or finds them, and reads them once: nobody is to pay for the disk.
    pub(super) fn make(scratch: &Path) -> Verdict<Self> {
        let dir = debian::large_image()?;
        let archives = Self {
            gzip_oci: dir.join("gzip.oci.tar"),
            gzip_docker: dir.join("gzip.docker.tar"),
            zstd_oci: dir.join("zstd.oci.tar"),
            blobs: blobs(&dir.join("gzip.oci.tar"), &scratch.join("blobs"))?,
            small: small(&scratch.join("small.oci.tar"))?,
            dir,
        };
        for file in [&archives.gzip_oci, &archives.gzip_docker, &archives.zstd_oci] {
            io::copy(&mut File::open(file).context(file.display())?, &mut io::sink())?;
        }
        Ok(archives)
    }

    /// How large the large one is.
    pub(super) fn describe(&self) -> Verdict<String> {
        let path = self.dir.join("facts");
        let facts = std::fs::read_to_string(&path).context(path.display())?;
        let fact = |name: &str| -> Verdict<u64> {
            let line = facts.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.context(format!("no {name} in {}", path.display()))?.parse().context(name)
        };
        let mb = |name| fact(name).map(|bytes| bytes / 1_000_000);
        Ok(format!(
            "a Debian system with a toolchain, {} layers, {} files, {} MB as tar, {} MB with gzip, \
             {} MB with zstd",
            fact("layers")?,
            fact("files")?,
            mb("tar")?,
            mb("gzip")?,
            mb("zstd")?
        ))
    }
}

/// Takes the layers out of an OCI archive, the largest first.
fn blobs(archive: &Path, dir: &Path) -> Verdict<Vec<PathBuf>> {
    std::fs::create_dir(dir).context(dir.display())?;
    output_of(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(dir))?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir.join("blobs/sha256")).context(dir.display())? {
        let entry = entry?;
        found.push((entry.metadata()?.len(), entry.path()));
    }
    found.sort_unstable_by(|one, other| other.cmp(one));
    // Manifest and configuration are smaller than any layer.
    Ok(found.into_iter().take(LAYERS).map(|(_, path)| path).collect())
}

/// Makes the small image.
fn small(file: &Path) -> Verdict<PathBuf> {
    let mut image = busybox_image(Compression::Gzip)?;
    let mut random = Random::new(1);
    for number in 1..LAYERS {
        // What does not compress: 5 MB are 5 MB.
        let content: Vec<u8> = (0..SMALL_FILE).map(|_| random.below(256) as u8).collect();
        let entries = [Entry::directory("srv"), Entry::file(format!("srv/{number}"), content)];
        image.layers.push(Layer::new(&entries, Compression::Gzip)?);
    }
    image.files(Form::Oci, SMALL)?.write_archive(file)?;
    Ok(file.to_owned())
}

//! One data root, one command that is cut off, and what must be true afterwards.

mod between;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use lxcri_testkit::Finished;
use lxcri_testkit::Image;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::image::Compression;
use lxcri_testkit::image::Entry;
use lxcri_testkit::image::Form;
use lxcri_testkit::image::Layer;
use lxcri_testkit::image::busybox_image;
use lxcri_testkit::process;
use lxcri_testkit::process::DEADLINE;
use lxcri_testkit::process::Started;
use lxcri_testkit::process::exit_code;
use lxcri_testkit::registry::Options;
use lxcri_testkit::registry::Registry;
use lxcri_testkit::verdict::Context;

use super::verb::Verb;
use crate::crash::random::Victim;
use crate::crash::scene::VARIABLE;
use crate::crash::scene::said;

/// How many files the upper layer has: each holds its number.
const MARKS: usize = 200;
const OTHER: &str = "localhost/other:1";
const TAGGED: &str = "localhost/tagged:1";
const PRUNE: [&str; 5] = ["image", "prune", "--all", "--partials-older-than", "0s"];

const INGEST: &str = "images/ingest";
/// What is empty when everything was removed.
const EMPTIED: [&str; 6] = [
    "images/blobs/sha256",
    INGEST,
    "rootfs/layers",
    "rootfs/golden/copy",
    "rootfs/containers",
    "containers",
];
/// Locks of the store, and the next index, which is written over.
const KEPT: [&str; 3] = ["lock", "index.lock", "index.json"];

/// A data root at the point where a command can be called.
pub(super) struct Scene<'r> {
    room: &'r Room,
    verb: Verb,
    step: &'static str,
    /// The image's full name.
    image: String,
    id: String,
    registry: Option<Registry>,
}

impl<'r> Scene<'r> {
    /// Makes archives, and for a pull a registry with the image. The data root is still empty.
    pub(super) fn new(room: &'r Room, verb: Verb, step: &'static str) -> Verdict<Self> {
        let mut scene = Self {
            room,
            verb,
            step,
            image: "localhost/app:1".to_owned(),
            id: room.id(),
            registry: None,
        };
        write_archive(&scene.file("app.tar"), "app")?;
        write_archive(&scene.file("other.tar"), "other")?;
        if verb == Verb::Pull {
            let registry = Registry::start(&Options::default())?;
            scene.image = format!("{}/app:1", registry.address());
            scene.registry = Some(registry);
            scene.import("app.tar", &scene.image)?;
            scene.call(&["image", "push", "-q", &scene.image])?;
            scene.clear()?;
        }
        Ok(scene)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.room.dir().join(name)
    }

    fn data(&self, name: &str) -> PathBuf {
        self.room.dir().join("data").join(name)
    }

    /// Brings a new data root to where the command can die at the step (or anywhere, where that is
    /// empty).
    pub(super) fn set(&self) -> Verdict {
        if self.verb.wants_image() {
            self.import("app.tar", &self.image)?;
        }
        match self.verb {
            Verb::Prune => {
                self.import("other.tar", OTHER)?;
                let partial = self.data("images/ingest/new-0-0");
                fs::write(&partial, "half of something").context(partial.display())
            }
            Verb::Verify => self.damage(),
            Verb::Delete => {
                self.call(&words(&self.words(Verb::Create)))?;
                self.call(&["start", &self.id])
            }
            _ => Ok(()),
        }
    }

    /// Changes a byte of the largest blob.
    fn damage(&self) -> Verdict {
        let blobs = fs::read_dir(self.data("images/blobs/sha256"))?.flatten();
        let largest = blobs.max_by_key(|blob| blob.metadata().map_or(0, |found| found.len()));
        let path = largest.context("a blob")?.path();
        let mut bytes = fs::read(&path)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).context(path.display())
    }

    /// The words of the command.
    fn words(&self, verb: Verb) -> Vec<String> {
        let archive = format!("oci-archive:{}", self.file("app.tar").display());
        let output = self.file("out.tar").to_string_lossy().into_owned();
        let (image, id) = (self.image.as_str(), self.id.as_str());
        let list: &[&str] = match verb {
            Verb::Open => &["image", "list"],
            Verb::Pull => &["image", "pull", "-q", image],
            Verb::Import => &["image", "import", "-q", "--name", image, &archive],
            Verb::Tag => &["image", "tag", image, TAGGED],
            Verb::Remove => &["image", "rm", image],
            Verb::Prune => &PRUNE,
            Verb::Verify => &["image", "verify", "-q", "--repair"],
            Verb::Export => &["image", "export", "-q", "--output", &output, image],
            Verb::Create => &["create", "--image", image, id, "sleep", "1000"],
            Verb::Delete => &["delete", "--force", id],
            Verb::Run => &["run", "--rm", "--name", id, image, "true"],
        };
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    /// A call of the program on this data root.
    fn command(&self, words: &[&str]) -> Command {
        self.command_at(&self.room.root(), words)
    }

    fn command_at(&self, root: &Path, words: &[&str]) -> Command {
        let mut command = self.room.runtime.command(root, words);
        command.env("PROXMOX_LXCRI_RUNTIME_DATA_ROOT", self.room.dir().join("data"));
        // Only providers that copy have golden trees.
        let is_of_copy = self.step.contains("golden") || self.step == "rootfs-prepare/tree";
        let provider = if is_of_copy { "copy" } else { "overlay" };
        command.env("PROXMOX_LXCRI_ROOTFS_PROVIDER", provider);
        command
    }

    fn finished(&self, words: &[&str]) -> Verdict<Finished> {
        self.room.run_command(&mut self.command(words))
    }

    /// Calls the program, which has to succeed.
    fn call(&self, words: &[&str]) -> Verdict {
        self.finished(words)?.ok().map(drop)
    }

    fn import(&self, archive: &str, name: &str) -> Verdict {
        let archive = format!("oci-archive:{}", self.file(archive).display());
        self.call(&["image", "import", "-q", "--name", name, &archive])
    }

    /// Starts the command, which dies at the step if there is one.
    fn begin(&self) -> Verdict<Started> {
        let mut command = self.command(&words(&self.words(self.verb)));
        if !self.step.is_empty() {
            command.env(VARIABLE, self.step);
        }
        Started::new(&mut command, self.room.dir(), &format!("{}-{}", self.id, self.verb), None)
    }

    /// The program dies at the step, which it has to reach; or its child, which it has to tell.
    pub(super) fn dies(&self) -> Verdict {
        let step = self.step;
        let ended = self.begin()?.wait(DEADLINE)?;
        if step.matches('/').count() == 2 {
            let told = exit_code(ended.status) == 1 && said(&ended).contains("ended before");
            ensure!(told, "{step}: nothing was said of the end of the child: {}", said(&ended));
            return Ok(());
        }
        let died = ended.status.signal() == Some(9);
        ensure!(died, "{step} was not reached: `{}`: {}", ended.line, said(&ended));
        Ok(())
    }

    /// What must be true when the command was cut off.
    pub(super) fn aftermath(&self) -> Verdict {
        let names = self.names()?;
        if self.verb != Verb::Verify {
            let verified = self.finished(&["image", "verify", "-q"])?.ok()?;
            ensure_eq!(verified.stdout, "", "image verify");
        }
        self.again(&names)?;
        self.works()
    }

    /// What `image list` says.
    fn names(&self) -> Verdict<String> {
        Ok(self.finished(&["image", "list"])?.ok()?.stdout)
    }

    /// The same command succeeds, unless it had done all that it should.
    fn again(&self, names: &str) -> Verdict {
        let list = self.words(self.verb);
        match self.verb {
            Verb::Remove if !names.contains("localhost/app") => {
                self.finished(&words(&list))?.refuses(&["no image", "not found", "no such"])?;
            }
            Verb::Verify => {
                // What was damaged is removed, and so missing until it comes again.
                let damaged = self.finished(&words(&list))?.exits(1)?;
                ensure!(damaged.stdout.contains("is not in the store"), "{damaged}");
                self.import("app.tar", &self.image)?;
                self.call(&["image", "verify", "-q"])?;
            }
            Verb::Create => {
                self.finished(&words(&list))?.refuses(&["exists"])?;
                // Nothing runs, so no force is needed, either.
                self.call(&["delete", &self.id])?;
                self.call(&words(&list))?;
                self.call(&["start", &self.id])?;
                self.call(&["delete", "--force", &self.id])?;
            }
            Verb::Run => {
                self.call(&["delete", "--force", &self.id])?;
                self.call(&words(&list))?;
            }
            _ => self.call(&words(&list))?,
        }
        Ok(())
    }

    /// The image can be run and has all of its files.
    fn works(&self) -> Verdict {
        if matches!(self.verb, Verb::Open | Verb::Remove | Verb::Prune) {
            self.import("app.tar", &self.image)?;
        }
        let listing = "cat /marks/*; ls -l /bin/busybox >/dev/null && echo busybox";
        let finished = self.finished(&["run", "--rm", &self.image, "sh", "-c", listing])?.ok()?;
        ensure_eq!(finished.stdout, format!("{}busybox\n", marks("app")), "files of the image");
        if self.verb == Verb::Export {
            let archive = format!("oci-archive:{}", self.file("out.tar").display());
            self.call(&["image", "import", "-q", "--name", OTHER, &archive])?;
        }
        Ok(())
    }

    /// `delete` removes a container that has ended, with what it had of its image, and only below its
    /// own state directory.
    pub(super) fn deletes(&self) -> Verdict {
        self.call(&["run", "--name", &self.id, &self.image, "true"])?;
        let own = self.data("containers").join(&self.id);
        ensure!(own.join("bundle/config.json").exists(), "run without --rm keeps the container");
        let elsewhere = self.command_at(&self.file("other-root"), &["delete", &self.id]);
        self.room.run_command(&mut { elsewhere })?.refuses(&["container does not exist"])?;
        ensure!(own.exists(), "delete below another root removed {}", own.display());
        self.call(&["delete", &self.id])?;
        ensure!(!own.exists(), "{} is left", own.display());
        let rootfs = self.data("rootfs/containers").join(&self.id);
        ensure!(!rootfs.exists(), "{} is left", rootfs.display());
        Ok(())
    }

    /// Everything can be removed, and is gone.
    pub(super) fn clear(&self) -> Verdict {
        self.call(&["delete", "--force", &self.id])?;
        let gone = self.finished(&["delete", &self.id])?;
        gone.refuses(&["container does not exist"])?;
        self.call(&PRUNE)?;
        process::reap_orphans();
        let mut left = Vec::new();
        for directory in EMPTIED {
            let names = entries(&self.data(directory)).into_iter();
            let names =
                names.filter(|name| !(directory == INGEST && KEPT.contains(&name.as_str())));
            left.extend(names.map(|name| format!("{directory}/{name}")));
        }
        ensure!(left.is_empty(), "left below the data root: {left:?}");
        fs::remove_dir_all(self.room.dir().join("data"))?;
        let _unwritten = fs::remove_file(self.file("out.tar"));
        Ok(())
    }
}

impl Victim for &Scene<'_> {
    fn begin(&self) -> Verdict<Started> {
        Scene::begin(self)
    }

    fn aftermath(&self) -> Verdict {
        Scene::aftermath(self)
    }

    fn clear(&self) -> Verdict {
        Scene::clear(self)
    }
}

/// The names in a directory.
fn entries(directory: &Path) -> Vec<String> {
    let all = fs::read_dir(directory).into_iter().flatten().flatten();
    all.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn words(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

/// What the upper layer's files say.
fn marks(name: &str) -> String {
    (0..MARKS).map(|number| format!("{name} {number:03}\n")).collect()
}

/// An image of busybox with a layer above of many small files.
fn write_archive(path: &Path, name: &str) -> Verdict {
    let mut entries = vec![Entry::directory("marks")];
    for (number, line) in marks(name).lines().enumerate() {
        entries.push(Entry::file(format!("marks/{number:03}"), format!("{line}\n")));
    }
    let mut layers = busybox_image(Compression::Gzip)?.layers;
    layers.push(Layer::new(&entries, Compression::Gzip)?);
    Image::new(layers).files(Form::Oci, "1")?.write_archive(path)
}

//! Images as users meet them: from a file or a registry to a container that runs. Each test has a data
//! directory, a home and credentials of its own.

pub mod extremes;
pub mod hostile;
pub mod names;
pub mod peers;
pub mod pull;
pub mod run;
pub mod server;

use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitCode;

use lxcri_testkit::Finished;
use lxcri_testkit::Image;
use lxcri_testkit::Place;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::image::Form;
use lxcri_testkit::skip;
use lxcri_testkit::verdict::Context;

use crate::registry;

/// The test program.
#[must_use]
pub fn main() -> ExitCode {
    let cases =
        [run::CASES, names::CASES, pull::CASES, peers::CASES, hostile::CASES, extremes::CASES]
            .concat();
    registry::main(Place::Host(View::Hybrid), &cases)
}

/// What would lead the program to this machine's own credentials or through its proxies.
const FOREIGN: [&str; 14] = [
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "DOCKER_CONFIG",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "PROXMOX_LXCRI_CONFIG",
];

/// A data directory with nothing in it, and the program that works there.
#[derive(Debug)]
pub struct Host<'a> {
    room: &'a Room,
    name: &'static str,
    variables: Vec<(&'static str, String)>,
}

impl<'a> Host<'a> {
    /// An empty one; `name` tells it from others of the same test.
    ///
    /// # Errors
    /// A skip where the program under test knows no images.
    pub fn new(room: &'a Room, name: &'static str) -> Verdict<Self> {
        if !room.runtime.ours {
            skip!("about images, which runc does not know");
        }
        let host = Self { room, name, variables: Vec::new() };
        fs::create_dir_all(host.home()).context("a home")?;
        Ok(host)
    }

    /// The same with one more variable in the environment of every call.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.room.dir().join(self.name).join("data")
    }

    /// What the program takes for the user's home.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.room.dir().join(self.name).join("home")
    }

    /// The user's own directory of certificates, as containers-certs.d(5) has it.
    #[must_use]
    pub fn certificates(&self) -> PathBuf {
        self.home().join(".config/containers/certs.d")
    }

    /// Where `login` writes.
    #[must_use]
    pub fn auth_file(&self) -> PathBuf {
        self.home().join("auth.json")
    }

    /// A call, not started yet.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.room.runtime.command(&self.room.root(), arguments);
        for name in FOREIGN {
            command.env_remove(name);
        }
        command.env("PROXMOX_LXCRI_RUNTIME_DATA_ROOT", self.data());
        command.env("HOME", self.home()).env("REGISTRY_AUTH_FILE", self.auth_file());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Calls the program and waits for its end.
    ///
    /// # Errors
    /// When it cannot start or hangs.
    pub fn call(&self, arguments: &[&str]) -> Verdict<Finished> {
        self.room.run_command(&mut self.command(arguments))
    }

    /// [`Self::call`] with a standard input.
    ///
    /// # Errors
    /// When it cannot start or hangs.
    pub fn call_with(&self, arguments: &[&str], stdin: File) -> Verdict<Finished> {
        let dir = self.room.dir();
        Finished::of(&mut self.command(arguments), dir, &self.room.id(), Some(stdin))
    }

    /// `run --rm --network none WORDS…`.
    ///
    /// # Errors
    /// When it cannot start or hangs.
    pub fn run(&self, words: &[&str]) -> Verdict<Finished> {
        self.call(&[&["run", "--rm", "--network", "none"], words].concat())
    }

    /// What is left of containers: their directories, and their root file systems.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn containers(&self) -> Verdict<Vec<String>> {
        let mut found = names(&self.data().join("containers"))?;
        found.extend(names(&self.data().join("rootfs/containers"))?);
        Ok(found)
    }

    /// The layers that are unpacked and marked as ready.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn ready_layers(&self) -> Verdict<Vec<String>> {
        let layers = self.data().join("rootfs/layers");
        let mut names = names(&layers)?;
        names.retain(|name| layers.join(name).join("ready.json").exists());
        Ok(names)
    }

    /// The names of the images in the store.
    ///
    /// # Errors
    /// When `image list` fails.
    pub fn images(&self) -> Verdict<Vec<String>> {
        let listed = self.call(&["image", "list", "--format", "json"])?.ok()?.stdout;
        let listed: Vec<serde_json::Value> = serde_json::from_str(&listed).context(&listed)?;
        let names = listed.iter().filter_map(|image| image["names"].as_array()).flatten();
        Ok(names.filter_map(|name| Some(name.as_str()?.to_owned())).collect())
    }

    /// Fails where something of a container is left.
    ///
    /// # Errors
    /// A failure with what is left.
    pub fn ensure_no_containers(&self) -> Verdict {
        ensure_eq!(self.containers()?, Vec::<String>::new(), "what is left of containers");
        let state = names(&self.room.root())?;
        // `@seccomp` and its like are of no container.
        ensure!(state.iter().all(|name| name.starts_with(['.', '@'])), "state is left: {state:?}");
        Ok(())
    }
}

/// The names in a directory; none where it is not there.
fn names(dir: &Path) -> Verdict<Vec<String>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let list = fs::read_dir(dir).context(dir.display())?;
    let mut names = Vec::new();
    for entry in list {
        names.push(entry.context(dir.display())?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// `oci-archive:FILE` of an image that calls itself `localhost/app:1`.
fn archive(room: &Room, image: &Image) -> Verdict<String> {
    let file = room.dir().join("app.tar");
    image.files(Form::Oci, "localhost/app:1")?.write_archive(&file)?;
    Ok(format!("oci-archive:{}", file.display()))
}

//! `create --image`, and what it has in common with `run IMAGE`: from words to a bundle.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lxcri_core::Error;
use lxcri_core::id::ContainerId;
use lxcri_core::oci::IdMapping;
use lxcri_core::runtime::{CreateOptions, Runtime};
use lxcri_images::container::{Claim, Making, Ready, Standing};
use lxcri_images::document::Descriptor;
use lxcri_images::progress::Progress;
use lxcri_images::spec::Options;
use lxcri_images::store::{Hold, Image};

use crate::args::image_form::{ImageForm, Pull};
use crate::commands::id;
use crate::failure::Failure;
use crate::images::{Images, Wanted, platform};
use crate::program::Program;
use crate::progress;

/// Words of `create --image`.
#[derive(clap::Args, Debug)]
#[command(override_usage = "\
proxmox-lxcri create --image IMAGE [OPTIONS] ID [COMMAND…]
       proxmox-lxcri create [--bundle DIR] [--pid-file FILE] [--console-socket SOCKET] ID")]
#[command(after_help = "\
Examples:
  proxmox-lxcri create --image nginx --network host web-1
  proxmox-lxcri start web-1
  proxmox-lxcri delete --force web-1")]
pub(crate) struct Args {
    #[command(flatten)]
    asked: Asked,
    /// Write the container's pid to this file
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Unix socket that takes the master of the container's terminal
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// Name for the container, and the program's words
    #[arg(hide = true, trailing_var_arg = true)]
    words: Vec<String>,
}

/// What both commands are asked.
#[derive(clap::Args, Debug)]
pub(crate) struct Asked {
    /// The image, where it could be taken for something else
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Say nothing of what is pulled and unpacked
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    pub(crate) form: ImageForm,
}

impl Asked {
    /// The image, and the words behind it.
    pub(crate) fn split<'w>(
        &'w self,
        words: &'w [String],
    ) -> Result<(&'w str, &'w [String]), Failure> {
        match (&self.image, words.split_first()) {
            (Some(image), _) => Ok((image, words)),
            (None, Some((image, words))) => Ok((image, words)),
            (None, None) => Err(Failure::usage("an image is missing")
                .hint("proxmox-lxcri run IMAGE [COMMAND…]")
                .hint("proxmox-lxcri run --bundle DIR ID runs a bundle")),
        }
    }
}

/// Makes the container.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let Some((name, words)) = args.words.split_first() else {
        return Err(Failure::usage("a name for the container is missing"));
    };
    if args.asked.form.way.name.is_some() {
        return Err(Failure::usage("--name: the name stands behind the options"));
    }
    let refused =
        [("--rm", args.asked.form.way.rm), ("--interactive", args.asked.form.way.interactive)];
    if let Some((flag, _)) = refused.into_iter().find(|(_, given)| *given) {
        return Err(Failure::usage(format!("{flag}: nobody stays with a container of `create`"))
            .hint("`proxmox-lxcri run` does"));
    }
    let (image, _) = args.asked.split(&[])?;
    let runtime = program.runtime()?;
    let container =
        ImageContainer::of(Some(given(name)?), &args.asked, image, words, program, &runtime)?;
    let image = container.bring(&args.asked)?;
    let (options, claim) = container.make(image, &args.asked, program)?;
    let options = CreateOptions {
        pid_file: args.pid_file.clone(),
        console_socket: args.console_socket.clone(),
        ..options
    };
    if let Err(error) = runtime.create(options) {
        container.clear(claim);
        return Err(error.into());
    }
    Ok(ExitCode::SUCCESS)
}

/// A container that is to be made of an image.
#[derive(Debug)]
pub(crate) struct ImageContainer<'p> {
    id: ContainerId,
    text: String,
    wanted: Wanted,
    options: Options,
    backend: &'static str,
    idmapped_mounts: bool,
    state_root: PathBuf,
    images: Images<'p>,
}

impl<'p> ImageContainer<'p> {
    /// For `run`, which makes a name up where none is given.
    pub(crate) fn enter(
        asked: &Asked,
        image: &str,
        words: &[String],
        program: &'p Program,
        runtime: &Runtime<'_>,
    ) -> Result<Self, Failure> {
        let id = asked.form.way.name.as_deref().map(given).transpose()?;
        Self::of(id, asked, image, words, program, runtime)
    }

    /// Works everything out that can be wrong before anything is made or fetched. The backend may
    /// execute this program anew here.
    fn of(
        id: Option<ContainerId>,
        asked: &Asked,
        image: &str,
        words: &[String],
        program: &'p Program,
        runtime: &Runtime<'_>,
    ) -> Result<Self, Failure> {
        let images = Images::new(program)?;
        let wanted = images.wanted(image)?;
        let id = id.map_or_else(|| made_up(wanted.word()), Ok)?;
        if let Some(path) = asked.form.way.cidfile.as_deref().filter(|path| path.exists()) {
            let path = path.display();
            return Err(Failure::new(format!(
                "--cidfile {path}: is there, and another container's"
            )));
        }
        let options = asked.form.options(words, &|name| std::env::var_os(name))?;
        let bundle = images.library.containers().join(id.as_str()).join("bundle");
        let room = runtime.enter(&id, &bundle, program.options.backend.as_deref())?;
        let idmapped_mounts = room.coverage.applies("mounts[].uidMappings");
        let state_root: &Path = program.config.get("runtime", "root").map_err(Error::from)?;
        Ok(Self {
            id,
            text: image.to_owned(),
            wanted,
            options,
            backend: room.name,
            idmapped_mounts,
            state_root: state_root.to_owned(),
            images,
        })
    }

    /// Its id.
    pub(crate) fn id(&self) -> &ContainerId {
        &self.id
    }

    /// Whether its program gets a terminal.
    pub(crate) fn wants_terminal(&self) -> bool {
        self.options.terminal
    }

    /// Brings the image where it is missing, and unpacks it. Whatever ends the program meanwhile
    /// leaves nothing of the container.
    pub(crate) fn bring(&self, asked: &Asked) -> Result<Ready, Failure> {
        let hold = self.images.hold(&self.wanted)?;
        let progress = progress::listener(asked.quiet);
        let manifest = self.manifest(&hold, asked, progress.as_ref())?;
        Ok(self.images.library.ready(hold, &manifest, progress.as_ref())?)
    }

    /// Makes root filesystem and bundle. The claim is to be held until the backend has made the
    /// container.
    pub(crate) fn make(
        &self,
        image: Ready,
        asked: &Asked,
        program: &Program,
    ) -> Result<(CreateOptions, Claim<'_>), Failure> {
        let way = &asked.form.way;
        let current = std::env::current_dir().map_err(Failure::of("working directory"))?;
        let making = Making {
            id: &self.id,
            name: &self.text,
            options: &self.options,
            mapping: mapping(program)?,
            idmapped_mounts: self.idmapped_mounts,
            ephemeral: way.rm,
            state_root: &self.state_root,
            working_directory: &current,
        };
        let (made, claim) = self.images.library.make_container(image, &making)?;
        for warning in &made.warnings {
            log::warn!("{}: {warning}", self.id);
        }
        if let Some(path) = &way.cidfile
            && let Err(failure) = write_id(path, &self.id)
        {
            self.clear(claim);
            return Err(failure);
        }
        let options = CreateOptions {
            id: self.id.clone(),
            bundle: made.bundle,
            pid_file: None,
            console_socket: None,
            console: None,
            preserve_fds: 0,
            no_pivot: false,
            no_new_keyring: false,
            backend: Some(self.backend.to_owned()),
        };
        Ok((options, claim))
    }

    /// The image's manifest in the store, as `--pull` wants it.
    fn manifest(
        &self,
        hold: &Hold,
        asked: &Asked,
        progress: &dyn Progress,
    ) -> Result<Descriptor, Failure> {
        let way = &asked.form.way;
        let platform = platform(way.platform.as_ref());
        let (is_id, is_remote) = (self.wanted.source.is_none(), self.wanted.is_remote());
        if way.pull == Pull::Always && !is_remote {
            return Err(Failure::new(format!("--pull: {} is no name in a registry", self.text)));
        }
        if is_id || (is_remote && way.pull != Pull::Always) {
            match self.images.find(&self.text) {
                // Of another platform it is not the one that is wanted.
                Ok(image) if runs_on(&image, way.platform.as_ref()) => {
                    self.warn_of_platform(&image);
                    return Ok(image.manifest);
                }
                Err(failure) if is_id || way.pull == Pull::Never => return Err(failure),
                _ if is_id || way.pull == Pull::Never => {
                    return Err(Failure::new(format!("{}: not here for {platform}", self.text)));
                }
                _ => {}
            }
        }
        Ok(self.images.bring(hold, &self.wanted, None, &platform, progress)?.manifest)
    }

    /// An image of another platform may have been pulled on purpose, but that is easily forgotten.
    fn warn_of_platform(&self, image: &Image) {
        let host = platform(None);
        if let Ok(contents) = &image.contents
            && host.rank(&contents.platform).is_none()
        {
            log::warn!("{}: is for {}, and this is {host}", self.text, contents.platform);
        }
    }

    /// Clears away what was made. The failure that led here is what the user hears of.
    pub(crate) fn clear(&self, claim: Claim<'_>) {
        if let Err(error) = claim.remove(&self.state_root) {
            log::warn!("{}: could not be removed: {}", self.id, lxcri_linux::chain(&error));
        }
    }

    /// Removes a container that has ended, with its state, where nobody else has.
    pub(crate) fn end(&self, standing: Standing<'_>, runtime: &Runtime<'_>) -> Result<(), Failure> {
        let Some(claim) = standing.retake()? else { return Ok(()) };
        runtime.delete(&self.id, true)?;
        claim.remove(&self.state_root)?;
        Ok(())
    }
}

fn runs_on(image: &Image, wanted: Option<&lxcri_images::document::Platform>) -> bool {
    let Some(wanted) = wanted else { return true };
    image.contents.as_ref().is_ok_and(|contents| wanted.rank(&contents.platform).is_some())
}

/// The ids of user namespaces.
fn mapping(program: &Program) -> Result<IdMapping, Failure> {
    let number = |key| -> Result<u32, Failure> {
        let number: i64 = program.config.get("rootfs", key).map_err(Error::from)?;
        u32::try_from(number).map_err(|_| Failure::new(format!("rootfs.{key}: too large")))
    };
    let host_id = number("user_namespace_start")?;
    Ok(IdMapping { container_id: 0, host_id, size: number("user_namespace_size")? })
}

/// A name that nobody gave: the image's last word and six digits.
fn made_up(word: &str) -> Result<ContainerId, Failure> {
    let mut random = [0; 3];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(Failure::of("random numbers"))?;
    let [a, b, c] = random;
    let word: String = word.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
    let word = if word.is_empty() { "container" } else { word.as_str() };
    id(&format!("{}-{a:02x}{b:02x}{c:02x}", word.to_ascii_lowercase()))
}

/// A name of the user's. Behind an option's place it would be taken for one.
fn given(name: &str) -> Result<ContainerId, Failure> {
    if name.starts_with('-') {
        return Err(Failure::usage(format!("{name}: no name for a container")));
    }
    id(name)
}

/// `--cidfile`: a file that is there already is another container's.
fn write_id(path: &Path, id: &ContainerId) -> Result<(), Failure> {
    let file = std::fs::File::options().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(id.as_str().as_bytes()))
        .map_err(Failure::io("write --cidfile", path))
}

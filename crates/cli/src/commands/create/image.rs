//! `create --image`, and what it has in common with `run IMAGE`: from words to a bundle.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lxcri_core::Error;
use lxcri_core::id::ContainerId;
use lxcri_core::oci::IdMapping;
use lxcri_core::runtime::{CreateOptions, Runtime};
use lxcri_images::container::{self, Making};
use lxcri_images::reference::Source;
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
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
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
    let container = ImageContainer::of(id(name)?, &args.asked, image, words, program, &runtime)?;
    let options = CreateOptions {
        pid_file: args.pid_file.clone(),
        console_socket: args.console_socket.clone(),
        ..container.make(&args.asked, program)?
    };
    if let Err(error) = runtime.create(options) {
        container.remove();
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
        let id = match &asked.form.way.name {
            Some(name) => id(name)?,
            None => made_up(image)?,
        };
        Self::of(id, asked, image, words, program, runtime)
    }

    /// Works everything out that can be wrong before anything is made or fetched. The backend may
    /// execute this program anew here.
    fn of(
        id: ContainerId,
        asked: &Asked,
        image: &str,
        words: &[String],
        program: &'p Program,
        runtime: &Runtime<'_>,
    ) -> Result<Self, Failure> {
        let images = Images::new(program)?;
        let wanted = images.wanted(image)?;
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

    /// Brings the image where it is missing, and makes root filesystem and bundle.
    pub(crate) fn make(&self, asked: &Asked, program: &Program) -> Result<CreateOptions, Failure> {
        let way = &asked.form.way;
        let hold = self.images.hold(&self.wanted.source)?;
        let progress = progress::listener(asked.quiet);
        let image = self.image(&hold, asked, progress.as_ref())?;
        let current = std::env::current_dir().map_err(Failure::of("working directory"))?;
        let making = Making {
            id: &self.id,
            name: &self.text,
            image: &image,
            options: &self.options,
            mapping: mapping(program)?,
            idmapped_mounts: self.idmapped_mounts,
            ephemeral: way.rm,
            state_root: &self.state_root,
            working_directory: &current,
        };
        let made = self.images.library.make_container(&hold, &making, progress.as_ref())?;
        for warning in &made.warnings {
            log::warn!("{}: {warning}", self.id);
        }
        if let Some(path) = &way.cidfile
            && let Err(failure) = write_id(path, &self.id)
        {
            self.remove();
            return Err(failure);
        }
        Ok(CreateOptions {
            id: self.id.clone(),
            bundle: made.bundle,
            pid_file: None,
            console_socket: None,
            console: None,
            preserve_fds: 0,
            no_pivot: false,
            no_new_keyring: false,
            backend: Some(self.backend.to_owned()),
        })
    }

    /// The image in the store, as `--pull` wants it.
    fn image(
        &self,
        hold: &Hold,
        asked: &Asked,
        progress: &dyn lxcri_images::progress::Progress,
    ) -> Result<Image, Failure> {
        let way = &asked.form.way;
        let platform = platform(way.platform.as_ref());
        let is_remote = matches!(self.wanted.source, Source::Registry(_) | Source::Short(_));
        if is_remote && way.pull != Pull::Always {
            match self.images.find(&self.text) {
                // Of another platform it is not the one that is wanted.
                Ok(image) if runs_on(&image, way.platform.as_ref()) => return Ok(image),
                Err(failure) if way.pull == Pull::Never => return Err(failure),
                _ if way.pull == Pull::Never => {
                    return Err(Failure::new(format!("{}: not here for {platform}", self.text)));
                }
                _ => {}
            }
        }
        let (brought, _) = self.images.bring(hold, &self.wanted, &platform, progress)?;
        Ok(hold.store().resolve(&brought.manifest.digest.to_string())?)
    }

    /// Clears away what was made. The failure that led here is what the user hears of.
    pub(crate) fn remove(&self) {
        if let Err(error) = container::remove(&self.images.library, &self.id, &self.state_root) {
            log::warn!("{}: could not be removed: {}", self.id, lxcri_linux::chain(&error));
        }
    }

    /// Clears away what was made.
    pub(crate) fn remove_or_fail(&self) -> Result<(), Failure> {
        container::remove(&self.images.library, &self.id, &self.state_root)?;
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
fn made_up(image: &str) -> Result<ContainerId, Failure> {
    let mut random = [0; 3];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(Failure::of("random numbers"))?;
    let [a, b, c] = random;
    let last = image.rsplit(['/', ':']).find(|part| part.starts_with(char::is_alphabetic));
    let word = last.unwrap_or("container").split(['.', '@', '_']).next().unwrap_or_default();
    let word: String = word.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
    id(&format!("{}-{a:02x}{b:02x}{c:02x}", word.to_ascii_lowercase()))
}

/// `--cidfile`: a file that is there already is another container's.
fn write_id(path: &Path, id: &ContainerId) -> Result<(), Failure> {
    let file = std::fs::File::options().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(id.as_str().as_bytes()))
        .map_err(Failure::io("write --cidfile", path))
}

//! What the commands about images stand on: the library of the configuration, registries, and how
//! what users type becomes an image in the store.

use std::path::Path;
use std::time::Duration;

use lxcri_core::Error;
use lxcri_images::archive::Transport;
use lxcri_images::document::{Descriptor, Platform};
use lxcri_images::library::{Bring, Brought, Library};
use lxcri_images::progress::Progress;
use lxcri_images::pull::Pull;
use lxcri_images::reference::{Name, Pick, Reference, Source};
use lxcri_images::registries::{Paths, Registries};
use lxcri_images::registry::credentials::Sources;
use lxcri_images::registry::{Client, Settings};
use lxcri_images::store::{Hold, Image, Purpose, Store, StoreError};

use crate::failure::Failure;
use crate::program::Program;

/// Ready for a command about images.
#[derive(Debug)]
pub(crate) struct Images<'p> {
    program: &'p Program,
    /// Everything below the data root.
    pub(crate) library: Library,
    /// Mirrors, aliases, and what is blocked.
    pub(crate) registries: Registries,
}

/// What a text becomes on its way into the store.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Where it comes from.
    pub(crate) source: Source,
    /// The name it gets in the store; none where only the archive knows it.
    pub(crate) name: Option<Reference>,
}

impl<'p> Images<'p> {
    /// By the configuration.
    pub(crate) fn new(program: &'p Program) -> Result<Self, Failure> {
        let library = Library::new(&program.config).map_err(Error::from)?;
        let path: Option<&Path> =
            program.config.get("images", "registries_conf").map_err(Error::from)?;
        let paths = Paths::of_this_process(path.map(Path::to_owned));
        let registries = Registries::load(&paths)?;
        Ok(Self { program, library, registries })
    }

    /// The store.
    pub(crate) fn store(&self) -> Result<Store, Failure> {
        Ok(self.library.store()?)
    }

    /// How many blobs go at once.
    pub(crate) fn transfers(&self) -> Result<usize, Failure> {
        let number: i64 = self.program.config.get("images", "downloads").map_err(Error::from)?;
        Ok(usize::try_from(number).unwrap_or(1))
    }

    /// A client for registries.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let config = &self.program.config;
        let user = rustix::process::geteuid().as_raw();
        let mut settings = Settings::from_environment(user, &|name| std::env::var_os(name));
        let stall: Duration = config.get("images", "stall_timeout").map_err(Error::from)?;
        settings.timeouts.stall = stall;
        let file: Option<&Path> = config.get("images", "auth_file").map_err(Error::from)?;
        if let Some(file) = file {
            settings.credentials = Sources::only(file);
        }
        Ok(Client::new(settings))
    }

    /// Reads what a user typed as IMAGE.
    pub(crate) fn wanted(&self, text: &str) -> Result<Wanted, Failure> {
        let source: Source = text.parse()?;
        let name = match &source {
            Source::Registry(reference) => Some(reference.tagged_or_latest()),
            Source::Short(short) => {
                let mut candidates = self.registries.resolve_short(short)?.into_iter();
                candidates.next().map(|reference| reference.tagged_or_latest())
            }
            Source::OciDirectory { path, .. }
            | Source::OciArchive { path, .. }
            | Source::DockerArchive { path, .. }
            | Source::Directory { path }
            | Source::RootFilesystem { path } => local_name(path),
        };
        Ok(Wanted { source, name })
    }

    /// The image in the store that a text stands for: as typed, or as a name that is completed.
    pub(crate) fn find(&self, text: &str) -> Result<Image, Failure> {
        let store = self.store()?;
        for name in self.full_names(text) {
            match store.resolve(&name) {
                Err(StoreError::NotFound { .. }) => {}
                other => return Ok(other?),
            }
        }
        Ok(store.resolve(text)?)
    }

    /// Whether a registry may be reached without TLS that can be verified.
    pub(crate) fn is_insecure(&self, host: &str) -> Result<bool, Failure> {
        let any: Reference = format!("{host}/any").parse()?;
        Ok(self.registries.push_endpoint(&any)?.insecure)
    }

    /// The text for an image that was found, as the store knows it: a name of it, or what was typed.
    pub(crate) fn store_name(&self, text: &str, image: &Image) -> String {
        let mut names = self.full_names(text).into_iter();
        names.find(|name| image.names.contains(name)).unwrap_or_else(|| text.to_owned())
    }

    /// The full names that a text may mean; none where it is an id.
    fn full_names(&self, text: &str) -> Vec<String> {
        let references = match text.parse::<Name>() {
            Ok(Name::Qualified(reference)) => vec![reference],
            Ok(Name::Short(short)) => self.registries.resolve_short(&short).unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        references.into_iter().map(|name| name.tagged_or_latest().to_string()).collect()
    }

    /// Brings an image into the store and gives it its name: for an archive the first that it has
    /// itself, else one made of the file's name.
    pub(crate) fn bring(
        &self,
        hold: &Hold,
        wanted: &Wanted,
        platform: &Platform,
        progress: &dyn Progress,
    ) -> Result<(Brought, Option<String>), Failure> {
        self.bring_as(hold, wanted, None, platform, progress)
    }

    /// The same under a name of the user's.
    pub(crate) fn bring_as(
        &self,
        hold: &Hold,
        wanted: &Wanted,
        name: Option<&Reference>,
        platform: &Platform,
        progress: &dyn Progress,
    ) -> Result<(Brought, Option<String>), Failure> {
        let brought = match &wanted.source {
            Source::Registry(_) | Source::Short(_) => {
                self.pull(hold, wanted, platform, progress)?
            }
            source => {
                let (transport, path, image) = packed(source);
                let bring = Bring::Import { transport, path, image: image.as_deref(), platform };
                self.library.bring(hold, &bring, progress)?
            }
        };
        let name = match &wanted.source {
            _ if name.is_some() => name.map(ToString::to_string),
            Source::Registry(_) | Source::Short(_) => wanted.name.as_ref().map(ToString::to_string),
            _ => own_name(&brought.names).or_else(|| wanted.name.as_ref().map(ToString::to_string)),
        };
        self.name(hold, &brought.manifest, name.as_deref())?;
        Ok((brought, name))
    }

    /// Pulls, by every name that a short one may mean.
    fn pull(
        &self,
        hold: &Hold,
        wanted: &Wanted,
        platform: &Platform,
        progress: &dyn Progress,
    ) -> Result<Brought, Failure> {
        let client = self.client()?;
        let references = match &wanted.source {
            Source::Short(short) => self.registries.resolve_short(short)?,
            _ => wanted.name.iter().cloned().collect(),
        };
        let mut failure = Failure::new("no registry to pull from");
        for reference in &references {
            let reference = &reference.tagged_or_latest();
            let downloads = self.transfers()?;
            let registries = &self.registries;
            let pull = Pull { reference, platform, registries, client: &client, downloads };
            match self.library.bring(hold, &Bring::Pull(pull), progress) {
                Ok(brought) => return Ok(brought),
                Err(error) => failure = error.into(),
            }
        }
        Err(failure)
    }

    /// Gives an image its name.
    fn name(&self, hold: &Hold, manifest: &Descriptor, name: Option<&str>) -> Result<(), Failure> {
        match name {
            Some(name) => hold.tag(name, manifest).map(|_| ())?,
            None => hold.keep(manifest)?,
        }
        Ok(())
    }

    /// A hold for what comes from a registry or an archive.
    pub(crate) fn hold(&self, wanted: &Source) -> Result<Hold, Failure> {
        let purpose = match wanted {
            Source::Registry(_) | Source::Short(_) => Purpose::Pull,
            _ => Purpose::Import,
        };
        Ok(self.store()?.hold(purpose)?)
    }

    /// Writes everything to the disk, where the configuration wants that.
    pub(crate) fn sync(&self) -> Result<(), Failure> {
        if self.library.sync() {
            self.store()?.sync()?;
            self.library.layers()?.sync()?;
        }
        Ok(())
    }
}

/// `localhost/NAME:latest`, as Podman calls what comes from a file without a name in it.
fn local_name(path: &Path) -> Option<Reference> {
    let stem = path.file_name()?.to_str()?.split('.').next()?;
    format!("localhost/{}:latest", stem.to_ascii_lowercase()).parse().ok()
}

/// The first name of an archive that is a whole one; a bare tag, as image layouts have it, is none.
fn own_name(names: &[String]) -> Option<String> {
    let whole = names.iter().find(|name| name.contains('/') || name.contains(':'));
    whole
        .and_then(|name| name.parse::<Reference>().ok())
        .map(|name| name.tagged_or_latest().to_string())
}

/// A source that is no registry, in the library's words.
fn packed(source: &Source) -> (Transport, &Path, Option<String>) {
    match source {
        Source::OciDirectory { path, image } => (Transport::Layout, path, pick(image)),
        Source::OciArchive { path, image } => (Transport::OciArchive, path, pick(image)),
        Source::DockerArchive { path, image } => (Transport::DockerArchive, path, pick(image)),
        Source::Directory { path } => (Transport::Directory, path, None),
        Source::RootFilesystem { path } => (Transport::Rootfs, path, None),
        Source::Registry(_) | Source::Short(_) => (Transport::AnyArchive, Path::new(""), None),
    }
}

fn pick<T: ToString>(pick: &Pick<T>) -> Option<String> {
    match pick {
        Pick::Only => None,
        Pick::Named(name) => Some(name.to_string()),
        Pick::Index(number) => Some(format!("@{number}")),
    }
}

/// The platform of an option, or this machine's.
pub(crate) fn platform(wanted: Option<&Platform>) -> Platform {
    wanted.cloned().unwrap_or_else(Platform::host)
}

//! What the commands about images stand on: the library of the configuration, registries, and how
//! what users type becomes an image in the store.

use std::path::Path;
use std::time::Duration;

use lxcri_core::Error;
use lxcri_images::archive::Transport;
use lxcri_images::digest::Digest;
use lxcri_images::document::Platform;
use lxcri_images::library::{Bring, Brought, Library};
use lxcri_images::progress::Progress;
use lxcri_images::pull::Pull;
use lxcri_images::reference::{Name, Pick, Reference, Source};
use lxcri_images::registries::{AUTH_FILE_HELPER, Paths, Registries};
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
    /// Where it comes from; none where the text is an id, which only the store knows.
    pub(crate) source: Option<Source>,
    /// The name it gets in the store where it has none of its own; none for a registry's images, whose
    /// name is the one that was answered.
    name: Option<Reference>,
}

impl Wanted {
    /// Whether a registry is asked for it.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.source, Some(Source::Registry(_) | Source::Short(_)))
    }

    /// What people call it, without registry and tag: the last word of its name.
    pub(crate) fn word(&self) -> &str {
        let path = match &self.source {
            Some(Source::Registry(reference)) => reference.repository(),
            Some(Source::Short(short)) => short.repository(),
            _ => self.name.as_ref().map_or("", Reference::repository),
        };
        path.rsplit('/').next().unwrap_or_default()
    }
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
        let helpers = self.registries.credential_helpers().iter();
        settings.credentials.for_all =
            helpers.filter(|name| *name != AUTH_FILE_HELPER).cloned().collect();
        Ok(Client::new(settings))
    }

    /// Reads what a user typed as IMAGE.
    pub(crate) fn wanted(&self, text: &str) -> Result<Wanted, Failure> {
        if is_id(text) {
            return Ok(Wanted { source: None, name: None });
        }
        let source: Source = text.parse()?;
        let name = match &source {
            Source::Registry(_) | Source::Short(_) => None,
            Source::OciDirectory { path, image: Pick::Named(name) }
            | Source::OciArchive { path, image: Pick::Named(name) } => {
                named(path, name).or_else(|| local_name(path))
            }
            Source::OciDirectory { path, .. }
            | Source::OciArchive { path, .. }
            | Source::DockerArchive { path, .. }
            | Source::Directory { path }
            | Source::RootFilesystem { path } => local_name(path),
        };
        Ok(Wanted { source: Some(source), name })
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
            // What is here is no question of trust: all of them, also where nothing is pulled so.
            Ok(Name::Short(short)) => {
                self.registries.candidates(&short).map(|found| found.references).unwrap_or_default()
            }
            Err(_) => Vec::new(),
        };
        references.into_iter().map(|name| name.tagged_or_latest().to_string()).collect()
    }

    /// The full name of something new: for a short name the first that it may mean, by which it is
    /// found again.
    pub(crate) fn naming(&self, name: &Name) -> Result<Reference, Failure> {
        let reference = match name {
            Name::Qualified(reference) => reference.clone(),
            Name::Short(short) => {
                let found = self.registries.candidates(short)?.references;
                let first = found.into_iter().next();
                first.ok_or_else(|| Failure::new(format!("{short}: no registry to name it by")))?
            }
        };
        if reference.digest().is_some() {
            return Err(Failure::new(format!("{reference}: a digest is no name to give")));
        }
        Ok(reference.tagged_or_latest())
    }

    /// Brings an image into the store and gives it its names: `name`, or what the registry or the
    /// archive call it, or one made of the file's name.
    pub(crate) fn bring(
        &self,
        hold: &Hold,
        wanted: &Wanted,
        name: Option<&Reference>,
        platform: &Platform,
        progress: &dyn Progress,
    ) -> Result<Brought, Failure> {
        let source = wanted.source.as_ref().ok_or_else(|| {
            Failure::new("an id, and no name of an image: only what is here already has one")
        })?;
        let brought = match source {
            Source::Registry(reference) => {
                self.pull(hold, &[reference.tagged_or_latest()], platform, progress)?
            }
            Source::Short(short) => {
                self.pull(hold, &self.registries.resolve_short(short)?, platform, progress)?
            }
            source => {
                let (transport, path, image) = packed(source);
                let bring = Bring::Import { transport, path, image: image.as_deref(), platform };
                self.library.bring(hold, &bring, progress)?
            }
        };
        let names = match name {
            Some(name) => vec![name.to_string()],
            None if wanted.is_remote() => brought.names.clone(),
            None => own_names(&brought.names),
        };
        let made_up = wanted.name.iter().filter(|_| names.is_empty()).map(ToString::to_string);
        let names: Vec<String> = names.iter().cloned().chain(made_up).collect();
        for name in &names {
            let before = hold.tag(name, &brought.manifest)?;
            // Not a word where a registry has a new version: that is what was asked for.
            if let Some(before) = before.filter(|one| one.digest != brought.manifest.digest)
                && !wanted.is_remote()
            {
                let before = before.digest.short();
                progress.note(&format!("{name} was another image, {before}, until now"));
            }
        }
        if names.is_empty() {
            hold.keep(&brought.manifest)?;
        }
        Ok(brought)
    }

    /// Pulls by the first name that a registry answers to, which is the one that `names` of what was
    /// brought has.
    fn pull(
        &self,
        hold: &Hold,
        references: &[Reference],
        platform: &Platform,
        progress: &dyn Progress,
    ) -> Result<Brought, Failure> {
        let client = self.client()?;
        let mut failure = Failure::new("no registry to pull from");
        for reference in references {
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

    /// A hold for what comes from a registry or an archive.
    pub(crate) fn hold(&self, wanted: &Wanted) -> Result<Hold, Failure> {
        let purpose = if wanted.is_remote() { Purpose::Pull } else { Purpose::Import };
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

/// Whether a text is an id in full, with or without the name of its algorithm.
fn is_id(text: &str) -> bool {
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex || text.parse::<Digest>().is_ok()
}

/// `localhost/NAME:latest`, as Podman calls what comes from a file without a name in it.
fn local_name(path: &Path) -> Option<Reference> {
    let stem = path.file_name()?.to_str()?.split('.').next()?;
    format!("localhost/{}:latest", stem.to_ascii_lowercase()).parse().ok()
}

/// `localhost/NAME:TAG` for an image that a layout knows by a tag.
fn named(path: &Path, tag: &str) -> Option<Reference> {
    local_name(path)?.with_tag(tag).ok()
}

/// The names of an archive that are whole ones; a bare tag, as image layouts have it, is none.
fn own_names(names: &[String]) -> Vec<String> {
    let whole = names.iter().filter(|name| name.contains('/') || name.contains(':'));
    whole
        .filter_map(|name| name.parse::<Reference>().ok())
        .map(|name| name.tagged_or_latest().to_string())
        .collect()
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

//! What is mounted in a container: the kernel's filesystems as Docker has them, the container's own
//! files, and what the user and the image ask for.

mod kernel;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lxcri_core::oci::{IdMapping, Mount};
use lxcri_core::suggest;
use lxcri_linux::beneath::{Root, normal};
use lxcri_linux::mount::KNOWN_OPTIONS;
use rustix::fs::OFlags;

use super::error::SpecError;
use super::options::{MountKind, MountRequest, Options};
use super::path::{depth, destination};
use crate::document::Config;

/// The most mounts of one container. Each costs a descriptor while it is made.
const MAX_MOUNTS: usize = 400;

/// Keys of tmpfs(5) that users may set.
const TMPFS_KEYS: [&str; 7] = ["mode", "size", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];

/// Words of mount(8) that ask for something other than a new filesystem.
const NOT_FOR_TMPFS: [&str; 4] = ["bind", "rbind", "idmap", "ridmap"];

/// What the mounts depend on.
#[derive(Debug)]
pub(super) struct Ground<'g> {
    pub(super) root: &'g Root,
    /// The ids of the container's user namespace, where it has one.
    pub(super) mapping: Option<IdMapping>,
    /// Whether the backend maps ids of mounts.
    pub(super) idmapped: bool,
    /// The directory of the caller.
    pub(super) working_directory: &'g Path,
}

/// Something to do before the mount can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// The source is missing, and Docker makes it.
    MakeSource(PathBuf),
    /// The source is a volume.
    Volume { name: Option<String>, destination: PathBuf, copy: bool },
}

/// All mounts in order, and what they need.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    pub(super) list: Vec<Mount>,
    pub(super) work: Vec<Work>,
    /// Of the root, where a mount is to hand events on.
    pub(super) root_propagation: Option<&'static str>,
    pub(super) warnings: Vec<String>,
}

/// Puts them together. `own_files` are the container's own: place inside and file on the host;
/// `devices` are nodes that have to be mounted. Both give way to what the user mounts there.
pub(super) fn plan(
    image: &Config,
    options: &Options,
    ground: &Ground<'_>,
    own_files: &[(&str, PathBuf)],
    devices: &[(PathBuf, PathBuf)],
) -> Result<Mounts, SpecError> {
    let mut mounts = Mounts::default();
    let mut wanted = requests(image, options)?;
    let taken: BTreeSet<PathBuf> = wanted.iter().map(|(place, _)| place.clone()).collect();
    mounts.list = kernel::mounts(options, ground.mapping.is_some());
    mounts.list.retain(|mount| !is_replaced(&mount.destination, &taken));
    let mut placed: Vec<Mount> = Vec::new();
    for (place, source) in own_files {
        if !taken.contains(Path::new(place)) {
            placed.push(own_file(Path::new(place), source, options.read_only));
        }
    }
    for (source, place) in devices {
        if taken.contains(place) {
            return Err(SpecError::Duplicate(place.clone()));
        }
        placed.push(bind(place, source, &["bind", "rprivate", "nosuid", "noexec"]));
    }
    for (place, request) in wanted.drain(..) {
        placed.push(mounts.translate(place, request, ground)?);
    }
    if placed.len() > MAX_MOUNTS {
        let problem =
            format!("are {} with the user's mounts, the most is {MAX_MOUNTS}", placed.len());
        return Err(SpecError::Image { field: "Volumes", problem });
    }
    // Parents before children, so that none is covered; otherwise as they were given.
    placed.sort_by_key(|mount| depth(&mount.destination));
    mounts.list.extend(placed);
    Ok(mounts)
}

/// The user's requests and the image's volumes with their places, each place once. A place of the
/// image gives way to the user's.
fn requests(image: &Config, options: &Options) -> Result<Vec<(PathBuf, MountRequest)>, SpecError> {
    let mut seen = BTreeSet::new();
    let mut wanted = Vec::new();
    for request in &options.mounts {
        let place = destination(&request.destination)
            .map_err(|problem| SpecError::option(request.flag, problem))?;
        if !seen.insert(place.clone()) {
            return Err(SpecError::Duplicate(place));
        }
        wanted.push((place, request.clone()));
    }
    for text in image.volumes.iter().flat_map(|volumes| volumes.keys()) {
        let invalid = |problem| SpecError::Image { field: "Volumes", problem };
        let place = destination(text).map_err(|problem| invalid(format!("have an {problem}")))?;
        if seen.insert(place.clone()) {
            let kind = MountKind::Volume { name: None, copy: true };
            let destination = text.clone();
            let request = MountRequest { flag: "VOLUME", destination, read_only: false, kind };
            wanted.push((place, request));
        }
    }
    Ok(wanted)
}

/// Whether a default mount gives way: the user mounts there, or over all of /dev.
fn is_replaced(place: &Path, taken: &BTreeSet<PathBuf>) -> bool {
    taken.contains(place) || (place.starts_with("/dev") && taken.contains(Path::new("/dev")))
}

fn own_file(place: &Path, source: &Path, read_only: bool) -> Mount {
    let options: &[&str] =
        if read_only { &["rbind", "rprivate", "ro"] } else { &["rbind", "rprivate"] };
    bind(place, source, options)
}

fn bind(place: &Path, source: &Path, options: &[&str]) -> Mount {
    Mount {
        destination: place.to_owned(),
        kind: Some("bind".to_owned()),
        source: Some(source.to_owned()),
        options: options.iter().map(ToString::to_string).collect(),
        ..Mount::default()
    }
}

impl Mounts {
    fn translate(
        &mut self,
        place: PathBuf,
        request: MountRequest,
        ground: &Ground<'_>,
    ) -> Result<Mount, SpecError> {
        let MountRequest { flag, read_only, kind, .. } = request;
        match kind {
            MountKind::Bind { source, propagation, recursive, make_source } => {
                let source = normal(&ground.working_directory.join(source));
                self.look_for(flag, &source, make_source)?;
                self.note_propagation(propagation);
                let how = if recursive { "rbind" } else { "bind" };
                let mut options = vec![how, propagation];
                options.extend(read_only_words(read_only, recursive));
                let mut mount = bind(&place, &source, &options);
                self.map_ids(&mut mount, ground, flag);
                Ok(mount)
            }
            MountKind::Volume { name, copy } => {
                check_name(flag, name.as_deref())?;
                let mut options = vec!["rbind", "rprivate"];
                options.extend(read_only_words(read_only, true));
                // The source is known when the volume is there.
                let mut mount = Mount { source: None, ..bind(&place, Path::new(""), &options) };
                if let (Some(mapping), true) = (ground.mapping, ground.idmapped) {
                    mount.uid_mappings = vec![mapping];
                    mount.gid_mappings = vec![mapping];
                }
                self.work.push(Work::Volume { name, destination: place, copy });
                Ok(mount)
            }
            MountKind::Tmpfs { options } => tmpfs(flag, place, &options, read_only, ground.root),
        }
    }

    fn look_for(&mut self, flag: &'static str, source: &Path, make: bool) -> Result<(), SpecError> {
        match std::fs::metadata(source) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && make => {
                self.work.push(Work::MakeSource(source.to_owned()));
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(SpecError::hinted(
                flag,
                format!("bind source path does not exist: {}", super::error::shown(source)),
                "make it first, or use --volume, which makes a directory",
            )),
            Err(error) => Err(SpecError::io("find mount source", source)(error)),
        }
    }

    /// A mount can only hand events on where the root does, too (runtime-spec, rootfsPropagation).
    fn note_propagation(&mut self, word: &str) {
        match word.trim_start_matches('r') {
            "shared" => self.root_propagation = Some("shared"),
            "slave" => {
                self.root_propagation.get_or_insert("rslave");
            }
            _ => {}
        }
    }

    /// Files of the host keep their owners inside, where the backend can have it so.
    fn map_ids(&mut self, mount: &mut Mount, ground: &Ground<'_>, flag: &str) {
        let Some(mapping) = ground.mapping else { return };
        if ground.idmapped {
            mount.uid_mappings = vec![mapping];
            mount.gid_mappings = vec![mapping];
        } else {
            let source = mount.source.as_deref().unwrap_or(Path::new(""));
            self.warnings.push(format!(
                "{flag} {}: files of ids below {} belong to nobody inside, as the backend does not \
                 map ids of mounts",
                super::error::shown(source),
                mapping.host_id
            ));
        }
    }
}

fn read_only_words(read_only: bool, recursive: bool) -> &'static [&'static str] {
    match (read_only, recursive) {
        (true, true) => &["ro", "rro"],
        (true, false) => &["ro"],
        (false, _) => &[],
    }
}

/// Names become directories: letters, digits and `_.-`, two at least (Docker's rule).
fn check_name(flag: &'static str, name: Option<&str>) -> Result<(), SpecError> {
    let Some(name) = name else { return Ok(()) };
    let sound = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
    let starts = name.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    if (2..=255).contains(&name.len()) && starts && name.chars().all(sound) {
        return Ok(());
    }
    Err(SpecError::hinted(
        flag,
        format!("{name:?} is no name of a volume: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
        "for a directory of the host give its absolute path, or one that starts with ./",
    ))
}

/// A tmpfs; nothing in it is executed or a device unless the user says so (Docker's default).
fn tmpfs(
    flag: &'static str,
    place: PathBuf,
    words: &[String],
    read_only: bool,
    root: &Root,
) -> Result<Mount, SpecError> {
    for word in words {
        check_tmpfs_word(flag, word)?;
    }
    let says = |word: &str| words.iter().any(|said| said == word);
    let defaults = [("noexec", "exec"), ("nosuid", "suid"), ("nodev", "dev")];
    let defaults = defaults.iter().filter(|(_, opposite)| !says(opposite));
    let mut options: Vec<String> = defaults.map(|(word, _)| (*word).to_owned()).collect();
    options
        .extend(words.iter().filter(|word| !options.contains(*word)).cloned().collect::<Vec<_>>());
    if read_only && !says("ro") {
        options.push("ro".to_owned());
    }
    // Over a directory of the image it takes that one's mode; a new one is everybody's, as the
    // kernel's default has it.
    let has_mode = words.iter().any(|word| word.starts_with("mode="));
    if !has_mode && root.open_existing(&place, OFlags::PATH).is_err() {
        options.push("mode=1777".to_owned());
    }
    Ok(Mount {
        destination: place,
        kind: Some("tmpfs".to_owned()),
        source: Some("tmpfs".into()),
        options,
        ..Mount::default()
    })
}

fn check_tmpfs_word(flag: &'static str, word: &str) -> Result<(), SpecError> {
    let key = word.split_once('=').map(|(key, _)| key);
    let known = match key {
        Some(key) => TMPFS_KEYS.contains(&key),
        None => KNOWN_OPTIONS.contains(&word) && !NOT_FOR_TMPFS.contains(&word),
    };
    if known {
        return Ok(());
    }
    let names = KNOWN_OPTIONS.iter().copied().chain(TMPFS_KEYS);
    let nearest = suggest::nearest(key.unwrap_or(word), names);
    Err(SpecError::Option {
        flag,
        problem: format!("invalid tmpfs option {word:?}"),
        hint: nearest.map(|name| format!("did you mean {name}?")),
    })
}

#[cfg(test)]
mod tests;

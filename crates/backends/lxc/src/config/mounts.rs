//! Mounts: lines of LXC's table, in the bundle's order. What a line cannot say is done inside by
//! lxcri-init: attributes that liblxc would leave out, and filesystems whose options it drops.

mod entry;
mod judge;
mod place;

use std::path::{Path, PathBuf};

use lxcri_core::oci::Mount;
use lxcri_linux::beneath::normal;
use lxcri_linux::mount::{Bind, IdMapped, Options, Propagation};

pub(crate) use entry::Entry;
pub(crate) use place::{Placed, place};

use super::file::Group;
use super::files::Found;
use super::inside::{MountAttributes, NewMount};
use super::planner::{Planner, our_path};
use super::problem::{Problem, Result};
use super::text;
use judge::{Judged, judge};
use place::Place;

/// The most mounts of a bundle.
const MOUNTS_MAX: usize = 1000;

/// Filesystems that need nothing of the host's, so that they can be mounted inside.
const INSIDE: [&str; 5] = ["devpts", "mqueue", "proc", "sysfs", "tmpfs"];

/// The only place where LXC shows a container its control groups.
const CGROUP: &str = "/sys/fs/cgroup";

pub(crate) fn plan(planner: &mut Planner<'_>) -> Result<()> {
    let mounts = &planner.spec.mounts;
    if mounts.len() > MOUNTS_MAX {
        let problem = format!("has {} mounts, the most is {MOUNTS_MAX}", mounts.len());
        return Err(Problem::field("mounts", problem));
    }
    // What LXC makes shared is cut off again, before single mounts get what the bundle says.
    let (destination, options) = (PathBuf::from("/"), vec!["rslave".to_owned()]);
    planner.inside.mount_attributes.push(MountAttributes { destination, options });
    for (index, mount) in mounts.iter().enumerate() {
        let field = format!("mounts[{index}]");
        let Some(judged) = judge(planner, &field, mount)? else { continue };
        let destination = place(planner, &format!("{field}.destination"), &mount.destination)?;
        match judged {
            Judged::Bind(options, kind) => {
                bind(planner, &field, mount, &options, kind, destination)?;
            }
            Judged::Cgroup(options) => cgroup(planner, &options, &destination.path),
            Judged::New(options) => new(planner, &field, mount, &options, destination)?,
        }
    }
    own(planner)
}

fn bind(
    planner: &mut Planner<'_>,
    field: &str,
    mount: &Mount,
    options: &Options,
    bind: Bind,
    place: Place,
) -> Result<()> {
    let source = planner.host.bundle.join(mount.source.as_deref().unwrap_or(Path::new("")));
    let field_of_source = format!("{field}.source");
    let wrong = |problem| Problem::field(&field_of_source, problem);
    text::path(&source).map_err(wrong)?;
    let is_directory = planner.files.is_directory(&source).map_err(|error| Problem::Io {
        field: field_of_source.clone(),
        what: "look at",
        path: source.clone(),
        source: error,
    })?;
    let mut entry = Entry::bind(&source, &place.path, bind);
    entry.attributes(options.attributes());
    if options.id_mapped().is_some() {
        entry.word("idmap=container");
    }
    if place.may_make {
        entry.word(if is_directory { "create=dir" } else { "create=file" });
    }
    planner.file.add(Group::Mounts, "lxc.mount.entry", &entry.line(field)?, field)?;
    // The path by which an idmapped mount goes through liblxc sets them all.
    let attributes = options.id_mapped().is_none() && needs_attributes(options);
    attributes_inside(planner, mount, options, &place.path, attributes);
    planner.placed.push(Placed::bind(place.path));
    Ok(())
}

/// Notes what lxcri-init has to set: attributes where LXC leaves them out, and always the propagation,
/// because LXC makes every mount shared when all are there.
fn attributes_inside(
    planner: &mut Planner<'_>,
    mount: &Mount,
    options: &Options,
    destination: &Path,
    attributes: bool,
) {
    let is_ours =
        |word: &&String| attributes && is_attribute(word) || Propagation::parse(word).is_some();
    let words: Vec<_> = mount.options.iter().filter(is_ours).cloned().collect();
    if attributes || options.propagation().is_some() {
        let destination = destination.to_owned();
        planner.inside.mount_attributes.push(MountAttributes { destination, options: words });
    }
}

/// liblxc remounts a bind mount only to make it read-only, or for what its source has already.
fn needs_attributes(options: &Options) -> bool {
    let read_only = Options::parse(["ro"]).attributes();
    let asked = options.attributes();
    !options.recursive_attributes().is_empty() || !(asked.is_empty() || asked == read_only)
}

/// Whether a word alone asks for an attribute of a mount.
fn is_attribute(word: &str) -> bool {
    let options = Options::parse([word]);
    !options.attributes().is_empty() || !options.recursive_attributes().is_empty()
}

/// LXC mounts control groups by a key of their own.
fn cgroup(planner: &mut Planner<'_>, options: &Options, destination: &Path) {
    if destination != Path::new(CGROUP) {
        planner.refuse("mounts[].type=cgroup", "LXC mounts control groups at /sys/fs/cgroup only");
        return;
    }
    let is_read_only = options.attributes().set & Options::parse(["ro"]).attributes().set != 0;
    let value = if is_read_only { "cgroup:ro:force" } else { "cgroup:rw:force" };
    planner.file.fixed(Group::Mounts, "lxc.mount.auto", value);
    planner.placed.push(Placed::new_filesystem(destination.to_owned()));
}

fn new(
    planner: &mut Planner<'_>,
    field: &str,
    mount: &Mount,
    options: &Options,
    place: Place,
) -> Result<()> {
    let kind = mount.kind.clone().unwrap_or_default();
    let mut words = mount.options.clone();
    // A tmpfs without a mode of its own takes that of the directory it covers, as runc has it.
    if let (true, Some(Found::Directory(mode))) = (kind == "tmpfs", place.found)
        && !options.data().any(|(key, _)| key == "mode")
    {
        words.push(format!("mode={mode:o}"));
    }
    let inside = NewMount {
        destination: place.path.clone(),
        kind: kind.clone(),
        source: source_of(mount, field)?,
        options: words,
    };
    let options = &Options::parse(inside.options.iter().map(String::as_str));
    if let Some(word) = judge::beyond_liblxc(&kind, options) {
        if !INSIDE.contains(&kind.as_str()) {
            planner.refuse(&format!("mounts[].options[]={word}"), "LXC would leave it out");
            return Ok(());
        }
        planner.inside.mounts.push(inside);
        planner.placed.push(Placed::inside(place.path));
        return Ok(());
    }
    let mut entry = Entry::new_filesystem(&inside.source, &place.path, &kind);
    entry.attributes(options.attributes());
    entry.data(options, &kind);
    if place.may_make {
        entry.word("create=dir");
    }
    planner.file.add(Group::Mounts, "lxc.mount.entry", &entry.line(field)?, field)?;
    attributes_inside(planner, mount, options, &place.path, false);
    // LXC's shows the pid namespace of lxcri-init. It stays below: without one the kernel lets a
    // user namespace mount no other.
    if kind == "proc" && planner.how.init.nested_pid_namespace {
        planner.inside.mounts.push(inside);
        planner.placed.push(Placed::inside(place.path));
    } else {
        planner.placed.push(Placed::new_filesystem(place.path));
    }
    Ok(())
}

fn source_of(mount: &Mount, field: &str) -> Result<String> {
    let wrong = |problem| Problem::field(format!("{field}.source"), problem);
    let source = mount.source.as_deref().unwrap_or(Path::new(""));
    let source = text::path(source).map_err(wrong)?;
    if source.is_empty() {
        return Ok(mount.kind.clone().unwrap_or_default());
    }
    Ok(source.to_owned())
}

/// What lxcri-init needs, over everything else.
fn own(planner: &mut Planner<'_>) -> Result<()> {
    const FIELD: &str = "the mounts of lxcri-init";
    for mount in planner.how.init.mounts.clone() {
        our_path(&mount.source, FIELD)?;
        our_path(&mount.destination, FIELD)?;
        let place = place(planner, FIELD, &mount.destination)?;
        if place.path != normal(&mount.destination) {
            let problem = format!("{} leads elsewhere by a link", mount.destination.display());
            return Err(Problem::Ours { what: FIELD, problem });
        }
        let mut entry = Entry::bind(&mount.source, &place.path, Bind::Single);
        if !mount.writable {
            entry.word("ro");
        }
        entry.word(if mount.directory { "create=dir" } else { "create=file" });
        planner.file.add(Group::Mounts, "lxc.mount.entry", &entry.line(FIELD)?, FIELD)?;
        planner.placed.push(Placed::bind(place.path));
    }
    Ok(())
}

/// Whether the mount is idmapped for the whole tree or for one mount, as far as LXC can.
pub(crate) fn idmap_fits(bind: Bind, word: IdMapped) -> bool {
    matches!((bind, word), (Bind::Single, _) | (Bind::Recursive, IdMapped::Recursive))
}

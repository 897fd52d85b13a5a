//! Where a destination really lies. LXC makes mount points along links of the image before it looks
//! for links, with the host's files in reach: so it must never meet one.

use std::path::{Component, Path, PathBuf};

use super::super::files::{Destination, Found};
use super::super::planner::Planner;
use super::super::problem::{Problem, Result};
use super::super::text;
use lxcri_linux::beneath::normal;

/// The most names of a destination.
const DEPTH_MAX: usize = 64;

/// A mount that comes before others.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// From the container's `/`, without links.
    pub(crate) path: PathBuf,
    /// Whether what is below may hold links that nobody has looked at.
    is_bind: bool,
    /// Whether lxcri-init mounts it, after all of LXC's.
    pub(crate) is_inside: bool,
}

impl Placed {
    /// A bind mount: what it holds is somebody's.
    pub(crate) fn bind(path: PathBuf) -> Self {
        Self { path, is_bind: true, is_inside: false }
    }

    /// A filesystem that LXC makes.
    pub(crate) fn new_filesystem(path: PathBuf) -> Self {
        Self { path, is_bind: false, is_inside: false }
    }

    /// A filesystem that lxcri-init makes.
    pub(crate) fn inside(path: PathBuf) -> Self {
        Self { path, is_bind: false, is_inside: true }
    }
}

/// A place for a mount.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// From the container's `/`, without links.
    pub(crate) path: PathBuf,
    /// What is there, where the root file system shows it.
    pub(crate) found: Option<Found>,
    /// Whether LXC may make what is missing of it.
    pub(crate) may_make: bool,
}

/// Finds the place of `destination`: through the root file system, and from the first mount on that
/// lies on the way by its names alone. `..` is taken back before, as native does in the root itself.
pub(crate) fn place(planner: &Planner<'_>, field: &str, destination: &Path) -> Result<Place> {
    let wanted = normal(destination);
    text::path(&wanted).map_err(|problem| Problem::field(field, problem))?;
    let names: Vec<_> = wanted.components().filter(|c| matches!(c, Component::Normal(_))).collect();
    if names.len() > DEPTH_MAX {
        let problem = format!("has {} names, the most is {DEPTH_MAX}", names.len());
        return Err(Problem::field(field, problem));
    }
    let mut at = Destination { path: PathBuf::from("/"), found: Some(Found::Directory(0o755)) };
    for count in 1..=names.len() {
        at =
            look(planner, field, &Path::new("/").join(names[..count].iter().collect::<PathBuf>()))?;
        if let Some(mount) = covering(planner, &at.path) {
            let rest: PathBuf = names[count..].iter().collect();
            return below(planner, field, mount, &at.path.join(rest));
        }
    }
    // The root of a container is the only place that a link can lead to and that cannot be mounted.
    if at.path == Path::new("/") {
        return Err(Problem::field(field, "is the root itself, which root.path names"));
    }
    if at.path.starts_with("/proc") && !wanted.starts_with("/proc") {
        return Err(Problem::field(field, "leads into /proc by a link"));
    }
    Ok(Place { path: at.path, found: at.found, may_make: true })
}

fn look(planner: &Planner<'_>, field: &str, path: &Path) -> Result<Destination> {
    let found = planner.files.destination(path).map_err(|source| Problem::Io {
        field: field.to_owned(),
        what: "find",
        path: path.to_owned(),
        source,
    })?;
    // Whoever answers: nothing but plain names from the root may come back.
    if !found.path.is_absolute() || normal(&found.path) != found.path {
        let problem = format!("leads to {}, which is no plain path", found.path.display());
        return Err(Problem::field(field, problem));
    }
    text::path(&found.path).map_err(|problem| Problem::field(field, problem))?;
    Ok(found)
}

/// The last mount that lies over the path.
fn covering<'p>(planner: &'p Planner<'_>, path: &Path) -> Option<&'p Placed> {
    planner.placed.iter().rev().find(|mount| path.starts_with(&mount.path))
}

/// A place on or below a mount, by its names. Whatever is missing in somebody's directory must not
/// be made: a link there could lead anywhere. LXC itself refuses to mount over links.
fn below(planner: &Planner<'_>, field: &str, mount: &Placed, path: &Path) -> Result<Place> {
    let nearest = covering(planner, path).unwrap_or(mount);
    if nearest.is_inside {
        let above = nearest.path.display();
        let problem = format!("would be hidden by {above}, which lxcri-init mounts after LXC's");
        return Err(Problem::field(field, problem));
    }
    let may_make = !nearest.is_bind || nearest.path == path;
    Ok(Place { path: path.to_owned(), found: None, may_make })
}

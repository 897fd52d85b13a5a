//! Where the cgroup of a container belongs. Decides, makes nothing.

use super::error::{Error, Result};
use super::layout::{Layout, LayoutKind, MountedHierarchy};
use super::{Cgroup, Place};

/// The longest name of a directory (kernel: NAME_MAX).
const LONGEST_NAME: usize = 255;

/// What the bundle's `cgroupsPath` asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// Below the root of each hierarchy.
    BelowMount(String),
    /// Below the cgroup that we are in ourselves.
    BelowOwn(String),
}

impl Cgroup {
    /// Decides where the cgroup of container `id` belongs: an absolute `cgroups_path` lies below
    /// each hierarchy's mount; a relative one, or without one the id, lies below our own cgroup on
    /// v1 and beside our own on v2, because a v2 cgroup that holds processes cannot hand
    /// controllers down (kernel: cgroup-v2.rst "No Internal Process Constraint"; runc's rules).
    ///
    /// # Errors
    /// When the path has `..`, NUL or a line break in it or names a root, and when it is relative
    /// and our own cgroup is not visible.
    pub fn plan(layout: &Layout, cgroups_path: Option<&str>, id: &str) -> Result<Self> {
        let wanted = parse(cgroups_path, id)?;
        let kind = layout.kind();
        let v1 = layout.v1().iter().map(|h| place(h, &wanted, false)).collect::<Result<_>>()?;
        let beside_own = kind == LayoutKind::V2;
        let v2 = layout.v2().map(|tree| place(tree, &wanted, beside_own)).transpose()?;
        Ok(Self { kind, v1, v2 })
    }
}

fn parse(cgroups_path: Option<&str>, id: &str) -> Result<Wanted> {
    match cgroups_path.filter(|path| !path.is_empty()) {
        Some(path) if path.starts_with('/') => Ok(Wanted::BelowMount(clean(path)?)),
        Some(path) => Ok(Wanted::BelowOwn(clean(path)?)),
        None if id.contains('/') => {
            Err(Error::Path { path: id.to_owned(), reason: "an id has no slash in it" })
        }
        None => Ok(Wanted::BelowOwn(clean(id)?)),
    }
}

/// Drops empty and `.` parts and refuses what could leave the hierarchy or break files apart that
/// hold one cgroup per line.
fn clean(path: &str) -> Result<String> {
    let refuse = |reason| Err(Error::Path { path: path.to_owned(), reason });
    if path.contains('\0') {
        return refuse("has a NUL in it");
    }
    if path.contains('\n') {
        return refuse("has a line break in it");
    }
    let parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return refuse("has `..` in it");
    }
    if parts.iter().any(|part| part.len() > LONGEST_NAME) {
        return refuse("has a name of more than 255 bytes in it");
    }
    if parts.is_empty() {
        return refuse("names the root of the hierarchy");
    }
    Ok(parts.join("/"))
}

fn place(hierarchy: &MountedHierarchy, wanted: &Wanted, beside_own: bool) -> Result<Place> {
    let path = match wanted {
        Wanted::BelowMount(path) => path.clone(),
        Wanted::BelowOwn(path) => {
            let own = hierarchy.own.as_deref().map_err(|own| Error::OwnHidden {
                mount: hierarchy.mount.clone(),
                own: own.clone(),
            })?;
            let base = match own.rsplit_once('/') {
                Some((parent, _)) if beside_own => parent,
                None if beside_own => "",
                _ => own,
            };
            if base.is_empty() { path.clone() } else { format!("{base}/{path}") }
        }
    };
    Ok(Place { controllers: hierarchy.controllers.clone(), mount: hierarchy.mount.clone(), path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(own_v1: &str, own_v2: &str, v1: bool) -> Layout {
        let tree = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let cpu = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        let mounts = if v1 { format!("{cpu}{tree}") } else { tree.to_owned() };
        let own = format!("1:cpu:{own_v1}\n0::{own_v2}\n");
        Layout::parse(mounts.as_bytes(), own.as_bytes()).unwrap()
    }

    fn paths(cgroup: &Cgroup) -> (Vec<String>, String) {
        let v1 = cgroup.v1.iter().map(|p| p.path.clone()).collect();
        (v1, cgroup.v2.as_ref().unwrap().path.clone())
    }

    #[test]
    fn places() {
        let hybrid = layout("/api/x", "/", true);
        let v2 = layout("/", "/user.slice/s.scope", false);
        let top = layout("/", "/own", false);
        let root = layout("/", "/", false);
        let plan = |layout, path| paths(&Cgroup::plan(layout, path, "ct").unwrap());
        assert_eq!(plan(&hybrid, Some("/a//b/./c/")), (vec!["a/b/c".into()], "a/b/c".into()));
        assert_eq!(plan(&hybrid, Some("a/b")), (vec!["api/x/a/b".into()], "a/b".into()));
        assert_eq!(plan(&hybrid, None), (vec!["api/x/ct".into()], "ct".into()));
        assert_eq!(plan(&hybrid, Some("")), (vec!["api/x/ct".into()], "ct".into()));
        assert_eq!(plan(&v2, None), (vec![], "user.slice/ct".into()));
        assert_eq!(plan(&v2, Some("/ct")), (vec![], "ct".into()));
        assert_eq!(plan(&top, None), (vec![], "ct".into()));
        assert_eq!(plan(&root, None), (vec![], "ct".into()));
    }

    #[test]
    fn hostile_paths_are_refused() {
        let layout = layout("/", "/", true);
        let long = format!("/{}", "x".repeat(256));
        for path in [
            "/..",
            "/a/../b",
            "..",
            "a/..",
            "/",
            "//",
            "/.",
            ".",
            "/a\0b",
            "/a\nb",
            "a\n",
            long.as_str(),
        ] {
            assert!(Cgroup::plan(&layout, Some(path), "ct").is_err(), "{path:?} was accepted");
        }
        for id in ["..", ".", "a/b", "", "a\nb", "/x"] {
            assert!(Cgroup::plan(&layout, None, id).is_err(), "id {id:?} was accepted");
        }
        assert!(Cgroup::plan(&layout, Some("/a..b/...x"), "ct").is_ok());
    }

    #[test]
    fn an_invisible_own_cgroup_only_matters_for_relative_paths() {
        let text = "32 31 0:29 /other /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let layout = Layout::parse(text.as_bytes(), b"0::/mine\n").unwrap();
        assert!(Cgroup::plan(&layout, Some("/a"), "ct").is_ok());
        assert!(matches!(Cgroup::plan(&layout, None, "ct"), Err(Error::OwnHidden { .. })));
    }
}

//! Which scope a container gets, and where systemd puts its cgroup (systemd.slice(5),
//! systemd.unit(5); runc docs/systemd.md "cgroupsPath").

use serde::{Deserialize, Serialize};

use super::Error;

/// Where scopes go when nobody says otherwise.
const DEFAULT_SLICE: &str = "system.slice";
/// The first part of the name of such a scope.
const DEFAULT_PREFIX: &str = "lxcri";
/// The longest name of a unit, by systemd's UNIT_NAME_MAX.
const LONGEST_NAME: usize = 255;

/// The scope of one container. Stored with the container's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    slice: String,
    name: String,
}

impl Unit {
    /// What `cgroups_path` (`slice:prefix:name`) means for container `id`: `prefix-name.scope` in
    /// `slice`, by default `lxcri-ID.scope` in `system.slice`.
    ///
    /// # Errors
    /// When it is of another form, or no unit can have such a name. Also for the name of a slice,
    /// which runc takes for pods: a slice holds no processes.
    pub fn plan(cgroups_path: Option<&str>, id: &str) -> Result<Self, Error> {
        let Some(path) = cgroups_path.filter(|path| !path.is_empty()) else {
            return Self::checked(DEFAULT_SLICE, DEFAULT_PREFIX, id);
        };
        let parts: Vec<&str> = path.split(':').collect();
        match parts.as_slice() {
            ["", prefix, name] => Self::checked(DEFAULT_SLICE, prefix, name),
            [slice, prefix, name] => Self::checked(slice, prefix, name),
            _ => Err(wrong(path, "is not of the form slice:prefix:name")),
        }
    }

    fn checked(slice: &str, prefix: &str, name: &str) -> Result<Self, Error> {
        if name.is_empty() {
            return Err(wrong(name, "is no name for a scope"));
        }
        if name.ends_with(".slice") {
            return Err(wrong(name, "is the name of a slice, which holds no processes"));
        }
        let scope = format!("{prefix}-{name}.scope");
        for text in [slice, scope.as_str()] {
            let known = |c: char| c.is_ascii_alphanumeric() || ":-_.\\".contains(c);
            if !text.chars().all(known) {
                return Err(wrong(text, "has a character that systemd takes in no unit's name"));
            }
            if text.len() > LONGEST_NAME {
                return Err(wrong(text, "is longer than 255 characters"));
            }
        }
        slice_path(slice)?;
        Ok(Self { slice: slice.to_owned(), name: scope })
    }

    /// The scope's name, `….scope`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The slice it is in.
    #[must_use]
    pub fn slice(&self) -> &str {
        &self.slice
    }

    /// Where systemd makes its cgroup, below the root of each hierarchy.
    ///
    /// # Errors
    /// When the slice is none; [`Unit::plan`] gives no such unit.
    pub fn cgroup_path(&self) -> Result<String, Error> {
        Ok(format!("{}/{}", slice_path(&self.slice)?, self.name))
    }
}

/// `a-b.slice` is `/a.slice/a-b.slice`, `-.slice` the root.
fn slice_path(slice: &str) -> Result<String, Error> {
    let name =
        slice.strip_suffix(".slice").ok_or_else(|| wrong(slice, "does not end in .slice"))?;
    if name == "-" {
        return Ok(String::new());
    }
    let mut path = String::new();
    let mut prefix = String::new();
    for part in name.split('-') {
        if part.is_empty() {
            return Err(wrong(slice, "is not the name of a slice"));
        }
        path.push_str(&format!("/{prefix}{part}.slice"));
        prefix.push_str(part);
        prefix.push('-');
    }
    Ok(path)
}

fn wrong(text: &str, reason: &'static str) -> Error {
    Error::Unit { text: text.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        for (path, unit, place) in [
            (None, "lxcri-c1.scope", "/system.slice/lxcri-c1.scope"),
            (Some(""), "lxcri-c1.scope", "/system.slice/lxcri-c1.scope"),
            (Some(":p:n"), "p-n.scope", "/system.slice/p-n.scope"),
            (Some("machine.slice:libpod:9a"), "libpod-9a.scope", "/machine.slice/libpod-9a.scope"),
            (
                Some("a-b-c.slice:cri:x"),
                "cri-x.scope",
                "/a.slice/a-b.slice/a-b-c.slice/cri-x.scope",
            ),
            (Some("-.slice:p:n"), "p-n.scope", "/p-n.scope"),
            // As runc has it.
            (Some("x.slice::n"), "-n.scope", "/x.slice/-n.scope"),
        ] {
            let found = Unit::plan(path, "c1").unwrap();
            assert_eq!((found.name(), found.cgroup_path().unwrap().as_str()), (unit, place));
        }
    }

    #[test]
    fn what_is_no_unit_is_refused() {
        let long = format!("a.slice:p:{}", "x".repeat(250));
        for path in [
            "/a/b",
            "a",
            "a.slice:b",
            "a.slice:b:c:d",
            "a.scope:p:n",
            ".slice:p:n",
            "a--b.slice:p:n",
            "-a.slice:p:n",
            "a-.slice:p:n",
            "a.slice:p:",
            "a.slice:p:pod.slice",
            "a/../b.slice:p:n",
            "a.slice:p:../n",
            "a.slice:p:n\n",
            "a.slice:p:n\0",
            "a.slice:p:n m",
            long.as_str(),
        ] {
            assert!(Unit::plan(Some(path), "c1").is_err(), "{path:?} was accepted");
        }
        // An id may have a plus in it, a unit's name may not.
        assert!(Unit::plan(None, "a+b").is_err());
    }
}

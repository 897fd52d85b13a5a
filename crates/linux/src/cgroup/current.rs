//! Where in its own cgroup a container's init is now: a container that manages cgroups itself
//! (systemd, a nested runtime) moves its init into a child, and on v2 only leaves may hold
//! processes.

use super::{Cgroup, Place};
use crate::procfs::{Error as ProcError, Membership, Proc};

/// Why the cgroup of a member cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum CurrentError {
    /// The process is gone, or its file cannot be read.
    #[error(transparent)]
    Proc(#[from] ProcError),
    /// The process has left the container's cgroup.
    #[error("pid {pid} is in the cgroup {found}, which is not below {expected}")]
    Elsewhere {
        /// The process.
        pid: i32,
        /// Where it is, as the kernel says.
        found: String,
        /// Where it should be.
        expected: String,
    },
}

impl Cgroup {
    /// The cgroup that the member `pid` is in now: this one, or one below it, hierarchy by
    /// hierarchy.
    ///
    /// # Errors
    /// [`CurrentError::Elsewhere`] where it has left: nothing may be added to a stranger's cgroup.
    pub fn current_of(&self, pid: i32) -> Result<Self, CurrentError> {
        let members = Proc::open()?.cgroups(pid)?;
        let place = |place: &Place| current_place(place, &members, pid);
        Ok(Self {
            kind: self.kind,
            v1: self.v1.iter().map(place).collect::<Result<_, _>>()?,
            v2: self.v2.as_ref().map(place).transpose()?,
        })
    }
}

fn current_place(place: &Place, members: &[Membership], pid: i32) -> Result<Place, CurrentError> {
    let member = members.iter().find(|member| member.controllers == place.controllers);
    let path = member.map_or_else(String::new, |m| m.path.to_string_lossy().into_owned());
    let below = below(&path, &place.path).ok_or_else(|| CurrentError::Elsewhere {
        pid,
        found: path.clone(),
        expected: place.path.clone(),
    })?;
    Ok(Place { path: format!("{}{below}", place.path), ..place.clone() })
}

/// What follows `own` in the kernel's path, "" or "/…". The kernel's path may start further up:
/// above the root of the mount.
fn below<'k>(kernel: &'k str, own: &str) -> Option<&'k str> {
    let own = own.trim_matches('/');
    kernel.match_indices(own).find_map(|(start, _)| {
        let (before, rest) = (&kernel[..start], &kernel[start + own.len()..]);
        let whole = before.ends_with('/') && (rest.is_empty() || rest.starts_with('/'));
        // A cgroup outside of our namespace's root is shown with "..", and is not ours to join.
        (whole && !kernel.contains("/..")).then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn paths_below_our_own() {
        let table = [
            ("/lxcri/c1", "lxcri/c1", Some("")),
            ("/lxcri/c1/init.scope", "lxcri/c1", Some("/init.scope")),
            ("/outer/lxcri/c1/x", "lxcri/c1", Some("/x")),
            ("/lxcri/c10", "lxcri/c1", None),
            ("/xlxcri/c1", "lxcri/c1", None),
            ("/", "lxcri/c1", None),
            ("", "lxcri/c1", None),
            ("/../lxcri/c1", "lxcri/c1", None),
            ("/c1/c1", "c1", Some("/c1")),
        ];
        for (kernel, own, wanted) in table {
            assert_eq!(below(kernel, own), wanted, "{kernel} {own}");
        }
    }
}

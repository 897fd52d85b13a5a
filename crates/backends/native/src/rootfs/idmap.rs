//! Idmapped mounts: which ids the files of a bind mount show (runtime-spec config.md, `uidMappings`
//! of mounts, `idmap`, `ridmap`; mount_setattr(2), "ID-mapped mounts").

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use lxcri_core::oci::{IdMapping, Mount};
use lxcri_linux::mount::{self, IdMapped, Options};
use lxcri_linux::namespace::{self, IdRange, Kind};
use rustix::io::Errno;

use super::sources::Plan;
use crate::error::{NativeError, step};
use crate::namespaces::ranges;

/// A field of the mount, with its dot, and what is wrong with it.
type Problem = (&'static str, String);

/// Judges the mappings of one mount; `user_namespace` says whether the container has one.
pub(super) fn check(
    mount: &Mount,
    options: &Options,
    is_bind: bool,
    user_namespace: bool,
) -> Result<(), Problem> {
    let (uids, gids) = (&mount.uid_mappings, &mount.gid_mappings);
    let word = options.id_mapped();
    if uids.is_empty() && gids.is_empty() {
        return match word {
            Some(_) if !is_bind => Err((".options", ONLY_BIND.to_owned())),
            Some(_) if !user_namespace => Err((".options", NO_MAP.to_owned())),
            _ => Ok(()),
        };
    }
    if !is_bind {
        return Err((".uidMappings", ONLY_BIND.to_owned()));
    }
    for (field, mappings) in [(".uidMappings", uids), (".gidMappings", gids)] {
        check_ranges(mappings).map_err(|problem| (field, problem))?;
    }
    Ok(())
}

const ONLY_BIND: &str = "only a bind mount can be idmapped";

const NO_MAP: &str =
    "an idmapped mount needs uidMappings and gidMappings, or a user namespace of the container";

/// What the kernel would answer with a bare EINVAL.
fn check_ranges(mappings: &[IdMapping]) -> Result<(), String> {
    if mappings.is_empty() {
        return Err("is empty: uidMappings and gidMappings of a mount belong together".to_owned());
    }
    IdMapping::check(mappings)
}

/// The user namespaces that mounts are mapped by. Mounts mostly have the same map, and a user may
/// only have so many namespaces.
#[derive(Debug, Default)]
pub(super) struct Maps(Vec<(Map, Rc<OwnedFd>)>);

#[derive(Debug, PartialEq, Eq)]
struct Map {
    uids: Vec<IdRange>,
    gids: Vec<IdRange>,
}

impl Maps {
    /// Gives the detached `tree` the map that the configuration has for it, where it has one.
    pub(super) fn apply(
        &mut self,
        plan: &Plan<'_>,
        mount: &Mount,
        options: &Options,
        (tree, source): (&OwnedFd, &Path),
    ) -> Result<(), NativeError> {
        let map = Map { uids: ranges(&mount.uid_mappings), gids: ranges(&mount.gid_mappings) };
        let is_mapped = !map.uids.is_empty() || !map.gids.is_empty();
        if !is_mapped && options.id_mapped().is_none() {
            return Ok(());
        }
        let recursive = options.id_mapped() == Some(IdMapped::Recursive);
        let joined = plan.namespaces.joins(Kind::User);
        let result = match joined.filter(|_| !is_mapped) {
            Some(handle) => mount::set_id_map(tree, recursive, &handle.fd),
            None => {
                let (uids, gids) = (&plan.namespaces.uids, &plan.namespaces.gids);
                let own = || Map { uids: uids.clone(), gids: gids.clone() };
                let namespace = self.namespace(if is_mapped { map } else { own() });
                let namespace = namespace.map_err(step(format!(
                    "make the id map of the mount onto {}",
                    mount.destination.display()
                )))?;
                mount::set_id_map(tree, recursive, namespace.as_fd())
            }
        };
        result.map_err(|error| NativeError::Step {
            step: format!("idmap {} for {}", source.display(), mount.destination.display()),
            cause: explain(&error, source, recursive),
        })
    }

    fn namespace(&mut self, map: Map) -> std::io::Result<Rc<OwnedFd>> {
        if let Some((_, made)) = self.0.iter().find(|(known, _)| *known == map) {
            return Ok(Rc::clone(made));
        }
        let made = Rc::new(namespace::mapped_user_namespace(&map.uids, &map.gids)?);
        self.0.push((map, Rc::clone(&made)));
        Ok(made)
    }
}

/// The kernel has one errno for each sort of refusal (mount_setattr(2), "ERRORS").
fn explain(error: &std::io::Error, source: &Path, recursive: bool) -> String {
    let Ok(kind) = mount::filesystem_at(source) else { return error.to_string() };
    let which = if recursive {
        format!("filesystem {kind}, or one mounted below it,")
    } else {
        format!("filesystem {kind}")
    };
    match Errno::from_io_error(error) {
        Some(Errno::INVAL) => format!("{which} does not support idmapped mounts: {error}"),
        Some(Errno::PERM) => {
            format!("{which} is idmapped already, or not ours to map like that: {error}")
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First inside, first outside, how many.
    type Ranges<'r> = &'r [(u32, u32, u32)];

    fn mount(uids: Ranges<'_>, gids: Ranges<'_>) -> Mount {
        let list = |ranges: Ranges<'_>| {
            let range = |&(container_id, host_id, size): &(u32, u32, u32)| IdMapping {
                container_id,
                host_id,
                size,
            };
            ranges.iter().map(range).collect()
        };
        Mount { uid_mappings: list(uids), gid_mappings: list(gids), ..Mount::default() }
    }

    fn judge(mount: &Mount, words: &str, is_bind: bool, user: bool) -> String {
        let options = Options::parse(words.split(','));
        match check(mount, &options, is_bind, user) {
            Ok(()) => String::new(),
            Err((field, problem)) => format!("{field}: {problem}"),
        }
    }

    #[test]
    fn what_can_be_meant() {
        let good = &[(0, 100_000, 65_536), (65_536, 5, 1)][..];
        let last = &[(0, 0, u32::MAX)][..];
        for ranges in [good, last] {
            for words in ["bind", "rbind,ridmap", "idmap"] {
                assert_eq!(judge(&mount(ranges, good), words, true, false), "");
            }
        }
        assert_eq!(judge(&mount(&[], &[]), "bind,idmap", true, true), "");
        assert_eq!(judge(&mount(&[], &[]), "mode=755", false, false), "");
    }

    #[test]
    fn what_cannot() {
        let good = &[(0, 100_000, 65_536)][..];
        let many: Vec<_> = (0..341).map(|id| (id, id, 1)).collect();
        let table: [(Ranges<'_>, &str); 7] = [
            (&[], ": is empty"),
            (&[(0, 0, 0)], "range 0 has size 0"),
            (&[(u32::MAX, 0, 1)], "range 0 goes beyond"),
            (&[(0, 0, 1), (1, 5, u32::MAX)], "range 1 goes beyond"),
            (&[(0, 0, 5), (4, 90, 2)], "range 1 overlaps"),
            (&[(0, 0, 5), (90, 4, 2)], "range 1 overlaps"),
            (&many, "has 341 ranges, the most is 340"),
        ];
        for (ranges, problem) in table {
            let found = judge(&mount(ranges, good), "bind", true, true);
            assert!(found.starts_with(".uidMappings") && found.contains(problem), "{found}");
            let found = judge(&mount(good, ranges), "bind", true, true);
            assert!(found.starts_with(".gidMappings") && found.contains(problem), "{found}");
        }
        for words in ["idmap", "ridmap"] {
            assert!(judge(&mount(&[], &[]), words, true, false).contains("needs uidMappings"));
            assert!(judge(&mount(&[], &[]), words, false, true).contains("only a bind mount"));
        }
        assert!(judge(&mount(good, good), "", false, true).contains("only a bind mount"));
    }
}

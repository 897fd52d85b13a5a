//! Everything a command stands on: options, configuration, the log, and the door to the rooms.

use std::path::{Component, Path};

use lxcri_backends::ROOMS;
use lxcri_core::Error;
use lxcri_core::backend::Settings;
use lxcri_core::config::{self, Config, Origin, Problems, Schema, Sources};
use lxcri_core::logging::{self, Logger};
use lxcri_core::runtime::Runtime;
use lxcri_core::store::Store;

use crate::args::{Options, Rootless};
use crate::failure::Failure;
use crate::output;

/// What a command makes of a configuration that is not right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It does not run.
    Strict,
    /// It warns and goes on: nothing may strand a container.
    Lenient,
    /// It does not depend on the configuration, or looks at it by itself.
    Own,
}

/// A call of this program, ready for its command.
#[derive(Debug)]
pub(crate) struct Program {
    /// Options before the command.
    pub(crate) options: Options,
    /// Everything that can be configured.
    pub(crate) schema: Schema,
    /// Where configuration comes from.
    pub(crate) sources: Sources,
    /// The configuration in force.
    pub(crate) config: Config,
    inherited: u32,
}

impl Program {
    /// Reads the configuration and opens the log. The log comes first, so that its reader learns
    /// what is wrong with the configuration.
    pub(crate) fn start(
        options: Options,
        reading: Reading,
        inherited: u32,
    ) -> Result<Self, Failure> {
        let sections = ROOMS.iter().filter_map(|room| room.section.copied());
        let sections = sections.chain(lxcri_images::settings::SECTIONS);
        let schema = Schema::new(sections, ROOMS.iter().map(|room| room.name))
            .map_err(Failure::of("configuration"))?;
        let sources = Sources::of_this_process(options.config.clone(), options.overrides());
        let (config, problems) = config::load_leniently(&schema, &sources);
        open_log(&config, reading)?;
        if let Some(problems) = problems {
            judge(problems, reading)?;
        }
        Ok(Self { options, schema, sources, config, inherited })
    }

    /// The door, over the state directory of the configuration.
    pub(crate) fn runtime(&self) -> Result<Runtime<'_>, Failure> {
        let root: &Path = self.config.get("runtime", "root").map_err(Error::from)?;
        check_root(root)?;
        Ok(Runtime::new(Store::new(root), ROOMS, self.settings()))
    }

    /// The descriptors to hand on, which must be there.
    pub(crate) fn preserve(&self, count: u32) -> Result<u32, Failure> {
        if count <= self.inherited {
            return Ok(count);
        }
        let missing = 3 + self.inherited;
        Err(Failure::new(format!("--preserve-fds {count}: descriptor {missing} is not open")))
    }

    /// What rooms may know of this call.
    pub(crate) fn settings(&self) -> Settings<'_> {
        Settings {
            config: &self.config,
            systemd_cgroup: self.options.systemd_cgroup,
            rootless: self.is_rootless(),
            debug: self.options.debug,
        }
    }

    fn is_rootless(&self) -> bool {
        match self.options.rootless {
            Rootless::True => true,
            Rootless::False => false,
            Rootless::Auto => {
                !rustix::process::geteuid().is_root()
                    || std::fs::read_to_string("/proc/self/uid_map")
                        .is_ok_and(|map| is_partial(&map))
            }
        }
    }
}

/// Whether a uid_map (user_namespaces(7)) is of another user namespace than the machine's first:
/// only that one maps every id to itself.
fn is_partial(map: &str) -> bool {
    !map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

fn open_log(config: &Config, reading: Reading) -> Result<(), Failure> {
    let colour = output::colour_of_messages();
    let settings = logging::Settings::from_config(config, colour).map_err(Error::from)?;
    let bare = logging::Settings { file: None, journald: false, ..settings.clone() };
    let install = |logger: Logger| logger.install().map_err(Failure::of("log"));
    match Logger::open(settings) {
        Ok(logger) => install(logger),
        Err(error) => {
            install(Logger::open(bare).map_err(Failure::of("log"))?)?;
            if reading == Reading::Strict {
                return Err(Failure::new(error.to_string()));
            }
            log::warn!("{error}");
            Ok(())
        }
    }
}

/// A broken file is a warning where that must not keep anybody from a container; an option that
/// cannot be meant never is: the command would act on something else than it was told.
fn judge(problems: Problems, reading: Reading) -> Result<(), Failure> {
    let by_option = problems.iter().find(|problem| matches!(problem.origin, Origin::Flag(_)));
    if let Some(problem) = by_option {
        let failure = Failure::new(problem.to_string());
        return Err(problem.hint.iter().fold(failure, Failure::hint));
    }
    match reading {
        Reading::Strict => {
            let many = problems.iter().count() > 1;
            let failure = Failure::from(Error::Config(problems));
            Err(if many {
                failure.hint("`proxmox-lxcri config check` lists them all")
            } else {
                failure
            })
        }
        Reading::Lenient => {
            for problem in &problems {
                log::warn!("{problem}");
            }
            Ok(())
        }
        Reading::Own => Ok(()),
    }
}

/// The state directory must be one of our own: below it we make and remove by name.
fn check_root(root: &Path) -> Result<(), Failure> {
    let resolved = std::fs::canonicalize(root).ok();
    let is_top = |path: &Path| !path.components().any(|part| matches!(part, Component::Normal(_)));
    if is_top(root) || resolved.as_deref().is_some_and(is_top) {
        let message = format!("the state directory cannot be / itself: {}", root.display());
        return Err(Failure::new(message).hint("name a directory of its own with --root DIR"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_user_namespace_maps_everything() {
        assert!(!is_partial("         0          0 4294967295\n"));
        for map in ["", "0 1000 1\n", "0 100000 65536\n", "0 0 1000\n1000 2000 5\n"] {
            assert!(is_partial(map), "{map:?}");
        }
    }

    #[test]
    fn the_top_directory_holds_no_state() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/", &link).unwrap();
        for root in [Path::new("/"), Path::new("/run/.."), Path::new("/.."), &link] {
            assert!(check_root(root).is_err(), "{}", root.display());
        }
        assert!(check_root(dir.path()).is_ok());
        assert!(check_root(&dir.path().join("not/yet")).is_ok());
    }
}

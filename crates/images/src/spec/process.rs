//! What runs: words, environment and place, as Docker puts them together.

use std::path::{Path, PathBuf};

use lxcri_core::oci::{Capabilities, Process, User};
use lxcri_linux::beneath::normal;

use super::accounts::Identity;
use super::error::SpecError;
use super::options::{Options, Variable};
use crate::document::Config;

/// Where programs are looked for when nobody says so (Docker's default).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// File mode creation mask, as runc and Podman have it.
const UMASK: u32 = 0o022;

/// The process of the container; its capabilities and limits come from elsewhere.
pub(super) fn process(
    image: &Config,
    options: &Options,
    identity: &Identity,
    hostname: &str,
) -> Result<Process, SpecError> {
    Ok(Process {
        terminal: options.terminal,
        user: User {
            uid: identity.uid,
            gid: identity.gid,
            umask: Some(UMASK),
            additional_gids: identity.groups.clone(),
        },
        args: words(image, options)?,
        env: environment(image, options, identity, hostname),
        cwd: working_directory(image, options)?,
        rlimits: options.rlimits.clone(),
        no_new_privileges: options.security.no_new_privileges,
        apparmor_profile: options.security.apparmor.clone(),
        ..Process::default()
    })
}

/// The sets for these capabilities: nobody but root gets them at once, others may gain them by
/// programs with file capabilities (Docker).
pub(super) fn capability_sets(names: Vec<String>, uid: u32) -> Capabilities {
    let effective = if uid == 0 { names.clone() } else { Vec::new() };
    Capabilities {
        permitted: effective.clone(),
        effective,
        bounding: names,
        ..Capabilities::default()
    }
}

/// Entrypoint and command: a new entrypoint makes the image's command void, the user's own stays.
fn words(image: &Config, options: &Options) -> Result<Vec<String>, SpecError> {
    let image_words = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
    let mut words = match &options.entrypoint {
        Some(program) if program.is_empty() => Vec::new(),
        Some(program) => vec![program.clone()],
        None => image_words(&image.entrypoint),
    };
    if !options.command.is_empty() {
        words.extend(options.command.iter().cloned());
    } else if options.entrypoint.is_none() {
        words.extend(image_words(&image.cmd));
    }
    match words.first() {
        Some(program) if !program.is_empty() => Ok(words),
        _ => Err(SpecError::NoCommand),
    }
}

/// Defaults, then the image's, then the user's; the last one wins and stands where the first did.
fn environment(
    image: &Config,
    options: &Options,
    identity: &Identity,
    hostname: &str,
) -> Vec<String> {
    let mut variables = Variables::default();
    variables.set("PATH", PATH);
    variables.set("HOSTNAME", hostname);
    if options.terminal {
        variables.set("TERM", "xterm");
    }
    for entry in image.env.iter().flatten() {
        if let Some((name, value)) = entry.split_once('=') {
            variables.set(name, value);
        }
    }
    for change in &options.environment {
        match change {
            Variable::Set(name, value) => variables.set(name, value),
            Variable::Unset(name) => variables.0.retain(|(known, _)| known != name),
        }
    }
    // As with runc, an empty HOME is none.
    if !variables.0.iter().any(|(name, value)| name == "HOME" && !value.is_empty()) {
        variables.set("HOME", identity.home.as_deref().unwrap_or("/"));
    }
    variables.0.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// Variables in the order in which they came up.
#[derive(Default)]
struct Variables(Vec<(String, String)>);

impl Variables {
    fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some(entry) => value.clone_into(&mut entry.1),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }
}

/// Where it starts, without `..`: resolved once here, so that it means the same to everybody.
fn working_directory(image: &Config, options: &Options) -> Result<PathBuf, SpecError> {
    match &options.working_directory {
        Some(path) if !path.starts_with('/') => Err(SpecError::option(
            "--workdir",
            format!("the working directory {path:?} is no absolute path"),
        )),
        Some(path) => Ok(normal(Path::new(path))),
        // An image's relative one counts from the root.
        None => Ok(normal(Path::new(&image.working_dir))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    fn run(
        image: (Option<&[&str]>, Option<&[&str]>),
        entrypoint: Option<&str>,
        command: &[&str],
    ) -> Result<Vec<String>, String> {
        let image =
            Config { entrypoint: image.0.map(list), cmd: image.1.map(list), ..Config::default() };
        let options = Options {
            entrypoint: entrypoint.map(str::to_owned),
            command: list(command),
            ..Options::default()
        };
        words(&image, &options).map_err(|error| error.to_string())
    }

    #[test]
    fn dockers_rules_for_words() {
        let both: (Option<&[&str]>, Option<&[&str]>) = (Some(&["/e", "x"]), Some(&["a", "b"]));
        assert_eq!(run(both, None, &[]).unwrap(), ["/e", "x", "a", "b"]);
        assert_eq!(run(both, None, &["c"]).unwrap(), ["/e", "x", "c"]);
        assert_eq!(run(both, Some("/n"), &[]).unwrap(), ["/n"]);
        assert_eq!(run(both, Some("/n"), &["c", "-d"]).unwrap(), ["/n", "c", "-d"]);
        assert_eq!(run(both, Some(""), &["c"]).unwrap(), ["c"]);
        assert_eq!(run((None, Some(&["sh"])), None, &[]).unwrap(), ["sh"]);
        for nothing in [
            run((None, None), None, &[]),
            run(both, Some(""), &[]),
            run((Some(&[]), Some(&[])), None, &[]),
            run((None, Some(&[""])), None, &[]),
        ] {
            assert_eq!(nothing.unwrap_err(), "no command specified");
        }
    }

    #[test]
    fn the_last_variable_wins() {
        let image = Config {
            env: Some(list(&["PATH=/opt/bin", "LANG=C", "A=1", "B=2", "A=3", "E=x=y\nz"])),
            ..Config::default()
        };
        let set = |name: &str, value: &str| Variable::Set(name.into(), value.into());
        let mut options = Options {
            environment: vec![set("LANG", "de"), Variable::Unset("B".into()), set("N", "")],
            ..Options::default()
        };
        let identity = Identity { home: Some("/srv".into()), ..Identity::default() };
        let found = environment(&image, &options, &identity, "web");
        let wanted =
            ["PATH=/opt/bin", "HOSTNAME=web", "LANG=de", "A=3", "E=x=y\nz", "N=", "HOME=/srv"];
        assert_eq!(found, wanted);
        options.terminal = true;
        options.environment = vec![set("HOME", "/h"), Variable::Unset("PATH".into())];
        let found = environment(&Config::default(), &options, &identity, "web");
        assert_eq!(found, ["HOSTNAME=web", "TERM=xterm", "HOME=/h"]);
    }

    #[test]
    fn where_it_starts() {
        let start = |image: &str, wanted: Option<&str>| {
            let image = Config { working_dir: image.into(), ..Config::default() };
            let wanted = wanted.map(str::to_owned);
            let options = Options { working_directory: wanted, ..Options::default() };
            working_directory(&image, &options).map_err(|error| error.to_string())
        };
        assert_eq!(start("", None).unwrap(), Path::new("/"));
        assert_eq!(start("/a/../../b/./c", None).unwrap(), Path::new("/b/c"));
        assert_eq!(start("srv", None).unwrap(), Path::new("/srv"));
        assert_eq!(start("/a", Some("/x/..")).unwrap(), Path::new("/"));
        assert_eq!(
            start("/a", Some("x")).unwrap_err(),
            "--workdir: the working directory \"x\" is no absolute path"
        );
    }

    #[test]
    fn only_root_has_capabilities_at_once() {
        let sets = capability_sets(list(&["CAP_KILL"]), 0);
        assert_eq!((sets.effective.len(), sets.permitted.len(), sets.bounding.len()), (1, 1, 1));
        let sets = capability_sets(list(&["CAP_KILL"]), 7);
        assert_eq!((sets.effective.len(), sets.permitted.len(), sets.bounding.len()), (0, 0, 1));
        assert!(sets.inheritable.is_empty() && sets.ambient.is_empty());
    }
}

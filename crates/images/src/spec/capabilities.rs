//! Which capabilities a container has: Docker's default, and what `--cap-add`, `--cap-drop` and
//! `--privileged` make of it.

use lxcri_core::suggest;
use lxcri_linux::capability;

use super::error::SpecError;
use super::options::Options;

/// Docker's default (docs.docker.com, "Runtime privilege and Linux capabilities").
pub(super) const DEFAULT: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SYS_CHROOT",
    "CAP_MKNOD",
    "CAP_AUDIT_WRITE",
    "CAP_SETFCAP",
];

/// The word for all of them.
const ALL: &str = "ALL";

/// The container's capabilities in the kernel's order; `available` are those there are to give.
pub(super) fn choose(options: &Options, available: &[&str]) -> Result<Vec<String>, SpecError> {
    let added = Named::parse("--cap-add", &options.cap_add)?;
    let dropped = Named::parse("--cap-drop", &options.cap_drop)?;
    let has = |name: &&&str| -> bool {
        if options.privileged {
            return true;
        }
        if added.all {
            return !dropped.names.contains(*name);
        }
        let by_default = !dropped.all && DEFAULT.contains(*name) && !dropped.names.contains(*name);
        by_default || added.names.contains(*name)
    };
    // All means all there are; one by name is told by the backend where it cannot be given.
    let of_everything = options.privileged || added.all;
    let known = capability::NAMES.iter().filter(|name| !of_everything || available.contains(*name));
    Ok(known.filter(has).map(ToString::to_string).collect())
}

/// What one of the two flags names.
struct Named {
    all: bool,
    names: Vec<&'static str>,
}

impl Named {
    fn parse(flag: &'static str, words: &[String]) -> Result<Self, SpecError> {
        let mut named = Self { all: false, names: Vec::new() };
        for word in words {
            let upper = word.to_ascii_uppercase();
            let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
            if short == ALL {
                named.all = true;
                continue;
            }
            let is_it = |name: &&&str| name.strip_prefix("CAP_") == Some(short);
            let known = capability::NAMES.iter().find(is_it);
            named.names.push(known.ok_or_else(|| unknown(flag, word, short))?);
        }
        Ok(named)
    }
}

fn unknown(flag: &'static str, word: &str, short: &str) -> SpecError {
    let names = capability::NAMES.iter().filter_map(|name| name.strip_prefix("CAP_"));
    let nearest = suggest::nearest(short, names.chain([ALL]));
    SpecError::Option {
        flag,
        problem: format!("unknown capability {word:?}"),
        hint: nearest.map(|name| format!("did you mean {name}?")),
    }
}

/// What there is to give: the capabilities of this kernel that we have not lost ourselves.
pub(super) fn available() -> Vec<&'static str> {
    let own = capability::current().map(|own| own.bounding);
    let last = capability::last_cap();
    let numbered = (0_u32..).zip(capability::NAMES);
    let given = numbered
        .filter(|(bit, _)| *bit <= last && own.as_ref().is_ok_and(|own| own.contains(*bit)));
    given.map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(add: &[&str], drop: &[&str], privileged: bool) -> Result<Vec<String>, SpecError> {
        let list = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        let options =
            Options { cap_add: list(add), cap_drop: list(drop), privileged, ..Options::default() };
        choose(&options, &["CAP_CHOWN", "CAP_KILL", "CAP_SYS_ADMIN"])
    }

    #[test]
    fn dockers_default_and_what_flags_make_of_it() {
        let mut default = chosen(&[], &[], false).unwrap();
        let mut wanted = DEFAULT.map(str::to_owned).to_vec();
        default.sort();
        wanted.sort();
        assert_eq!(default, wanted);
        let found = chosen(&["net_admin", "CAP_SYS_TIME"], &["MKNOD", "cap_chown"], false).unwrap();
        assert_eq!(found.len(), 14);
        assert!(found.contains(&"CAP_NET_ADMIN".into()) && !found.contains(&"CAP_MKNOD".into()));
        assert_eq!(chosen(&["KILL"], &["all"], false).unwrap(), ["CAP_KILL"]);
        assert_eq!(chosen(&["ALL"], &["kill"], false).unwrap(), ["CAP_CHOWN", "CAP_SYS_ADMIN"]);
        assert!(chosen(&[], &["ALL"], false).unwrap().is_empty());
        assert_eq!(chosen(&[], &[], true).unwrap().len(), 3);
    }

    #[test]
    fn unknown_names_come_with_the_nearest() {
        let error = chosen(&["NET_ADMN"], &[], false).unwrap_err();
        assert_eq!(error.to_string(), "--cap-add: unknown capability \"NET_ADMN\"");
        assert_eq!(error.hints(), ["did you mean NET_ADMIN?"]);
        let error = chosen(&[], &["\x1b"], false).unwrap_err();
        assert_eq!(error.to_string(), "--cap-drop: unknown capability \"\\u{1b}\"");
    }
}

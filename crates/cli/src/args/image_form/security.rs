//! `--security-opt`, `--userns`, `--ipc` and `--pid`.

use lxcri_core::suggest;
use lxcri_images::spec::{Ipc, PidNamespace, SeccompChoice, Security, UserNamespace};

/// Names of security options.
const NAMES: [&str; 5] = ["no-new-privileges", "seccomp", "apparmor", "label", "systempaths"];

/// One `--security-opt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SecurityOption {
    NoNewPrivileges(bool),
    Seccomp(SeccompChoice),
    /// `None` is unconfined.
    AppArmor(Option<String>),
    SystemPathsUnconfined,
    /// `label=disable`: nothing is labelled anyway.
    NoLabel,
}

impl SecurityOption {
    /// The last one of a kind counts.
    pub(super) fn apply(&self, security: &mut Security) {
        match self {
            Self::NoNewPrivileges(value) => security.no_new_privileges = *value,
            Self::Seccomp(choice) => security.seccomp = choice.clone(),
            Self::AppArmor(profile) => security.apparmor.clone_from(profile),
            Self::SystemPathsUnconfined => security.unmasked = true,
            Self::NoLabel => {}
        }
    }
}

/// `NAME`, `NAME=VALUE`, or `NAME:VALUE` as older versions of Docker had it.
pub(super) fn option(text: &str) -> Result<SecurityOption, String> {
    let end = text.find(['=', ':']).unwrap_or(text.len());
    let (name, value) = (&text[..end], text.get(end + 1..));
    let given = value.filter(|value| !value.is_empty());
    let needed = || given.ok_or_else(|| format!("{name} needs a value"));
    match name {
        "no-new-privileges" => match value {
            None | Some("true") => Ok(SecurityOption::NoNewPrivileges(true)),
            Some("false") => Ok(SecurityOption::NoNewPrivileges(false)),
            Some(other) => Err(format!("{name}={other:?} is neither true nor false")),
        },
        "seccomp" => Ok(SecurityOption::Seccomp(match needed()? {
            "unconfined" => SeccompChoice::Unconfined,
            "builtin" => SeccompChoice::Builtin,
            path => SeccompChoice::File(path.into()),
        })),
        "apparmor" => {
            let profile = needed()?;
            Ok(SecurityOption::AppArmor((profile != "unconfined").then(|| profile.to_owned())))
        }
        "label" if value == Some("disable") => Ok(SecurityOption::NoLabel),
        "label" => Err("label: SELinux is not supported, nothing would be labelled".to_owned()),
        "systempaths" if value == Some("unconfined") => Ok(SecurityOption::SystemPathsUnconfined),
        "systempaths" => Err("systempaths can only be unconfined".to_owned()),
        _ => Err(unknown(name)),
    }
}

fn unknown(name: &str) -> String {
    match suggest::nearest(name, NAMES) {
        Some(nearest) => format!("unknown option {name:?}, did you mean {nearest}?"),
        None => format!("unknown option {name:?}"),
    }
}

/// `host`, or nothing for the default.
pub(super) fn user_namespace(text: &str) -> Result<UserNamespace, String> {
    match text {
        "" | "private" => Ok(UserNamespace::Private),
        "host" => Ok(UserNamespace::Host),
        _ => Err("only host can be given; the default is a user namespace of its own".to_owned()),
    }
}

/// Docker's modes but for those of other containers.
pub(super) fn ipc(text: &str) -> Result<Ipc, String> {
    match text {
        "" | "private" => Ok(Ipc::Private),
        "none" => Ok(Ipc::None),
        "host" => Ok(Ipc::Host),
        _ => Err("only private, none and host are there; sharing with containers comes with a \
                  later version"
            .to_owned()),
    }
}

/// `host`, or nothing for the default.
pub(super) fn pid(text: &str) -> Result<PidNamespace, String> {
    match text {
        "" | "private" => Ok(PidNamespace::Private),
        "host" => Ok(PidNamespace::Host),
        _ => {
            Err("only host can be given; sharing with containers comes with a later version"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn security_options() {
        use SecurityOption::{AppArmor, NoNewPrivileges, Seccomp};
        let table = [
            ("no-new-privileges", NoNewPrivileges(true)),
            ("no-new-privileges=true", NoNewPrivileges(true)),
            ("no-new-privileges:false", NoNewPrivileges(false)),
            ("seccomp=unconfined", Seccomp(SeccompChoice::Unconfined)),
            ("seccomp:builtin", Seccomp(SeccompChoice::Builtin)),
            ("seccomp=/a=b:c.json", Seccomp(SeccompChoice::File("/a=b:c.json".into()))),
            ("apparmor=web", AppArmor(Some("web".into()))),
            ("apparmor=unconfined", AppArmor(None)),
            ("label=disable", SecurityOption::NoLabel),
            ("systempaths=unconfined", SecurityOption::SystemPathsUnconfined),
        ];
        for (text, wanted) in table {
            assert_eq!(option(text), Ok(wanted), "{text}");
        }
        let table = [
            ("no-new-privileges=yes", "neither true nor false"),
            ("seccomp", "seccomp needs a value"),
            ("apparmor=", "apparmor needs a value"),
            ("label=type:x", "SELinux is not supported"),
            ("systempaths=confined", "can only be unconfined"),
            ("secomp=x", "unknown option \"secomp\", did you mean seccomp?"),
            ("", "unknown option \"\""),
        ];
        for (text, problem) in table {
            let error = option(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn namespaces() {
        assert_eq!((ipc("host"), pid("host")), (Ok(Ipc::Host), Ok(PidNamespace::Host)));
        assert_eq!(user_namespace("host"), Ok(UserNamespace::Host));
        assert!(ipc("container:x").unwrap_err().contains("later"));
        assert!(ipc("shareable").is_err() && pid("container:x").is_err());
        assert!(user_namespace("keep-id").is_err());
    }
}

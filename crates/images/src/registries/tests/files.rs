//! Which files count.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::super::*;

/// A machine's files, and one user's.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new(files: &[(&str, &str)]) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = machine.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn paths(&self) -> Paths {
        Paths {
            named: None,
            system: self.path("etc"),
            user: Some(self.path("home")),
            aliases: Some(self.path("cache/short-name-aliases.conf")),
        }
    }

    fn load(&self) -> Registries {
        Registries::load(&self.paths()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refused(&self) -> String {
        let error = Registries::load(&self.paths()).unwrap_err().to_string();
        error.replace(self.0.path().to_str().unwrap(), "")
    }
}

fn first(registries: &Registries, name: &str) -> String {
    let references = registries.resolve_short(&name.parse().unwrap()).unwrap();
    references[0].to_string()
}

#[test]
fn later_files_win() {
    let machine = Machine::new(&[
        (
            "etc/registries.conf",
            "unqualified-search-registries = ['0.org']\nshort-name-mode = 'disabled'\n\
             [[registry]]\nprefix = 'a.org'\nlocation = '0.org'\ninsecure = true\n\
             [[registry]]\nprefix = 'b.org'\nlocation = '0.org'\ninsecure = true\n\
             [aliases]\na = '0.org/a'\nb = '0.org/b'\nc = '0.org/c'\ne = '0.org/e'",
        ),
        (
            "etc/registries.conf.d/10.conf",
            "unqualified-search-registries = ['1.org']\ncredential-helpers = ['pass']\n\
             [[registry]]\nprefix = 'A.org'\nlocation = '1.org'\n[aliases]\na = '1.org/a'\nc = ''",
        ),
        ("etc/registries.conf.d/20.conf", "[aliases]\na = '2.org/a'"),
        ("etc/registries.conf.d/30.ignored", "nonsense"),
        ("etc/registries.conf.d/40.conf/file", "nonsense"),
        ("home/registries.conf.d/05.conf", "[aliases]\nb = 'home.org/b'\ne = 'home.org/e'"),
        ("cache/short-name-aliases.conf", "[aliases]\n  \"e\" = \"cache.org/e\""),
    ]);
    let registries = machine.load();
    let names = ["a", "b", "c", "d", "e"].map(|name| first(&registries, name));
    let expected = ["2.org/a", "home.org/b", "1.org/c", "1.org/d", "cache.org/e"];
    assert_eq!(names, expected.map(|name| format!("{name}:latest")));
    assert_eq!(registries.short_name_mode(), ShortNameMode::Disabled);
    assert_eq!(registries.credential_helpers(), ["pass"]);
    // A table replaces the earlier one of its prefix as a whole: `insecure` is gone.
    let endpoints = |name: &str| registries.endpoints(&name.parse().unwrap()).unwrap();
    let a = &endpoints("a.org/x")[0];
    assert_eq!((a.reference.registry(), a.insecure), ("1.org", false));
    let b = &endpoints("b.org/x")[0];
    assert_eq!((b.reference.registry(), b.insecure), ("0.org", true));
}

#[test]
fn a_users_file_stands_for_the_systems() {
    let machine = Machine::new(&[
        ("etc/registries.conf", "unqualified-search-registries = ['etc.org']"),
        ("etc/registries.conf.d/1.conf", "[aliases]\na = 'etc.org/alias'"),
        ("home/registries.conf", "unqualified-search-registries = ['home.org']"),
        ("home/registries.conf.d/1.conf", "[aliases]\nb = 'home.org/alias'"),
        ("named.conf", "unqualified-search-registries = ['named.org']"),
    ]);
    let registries = machine.load();
    assert_eq!(first(&registries, "a"), "home.org/a:latest");
    assert_eq!(first(&registries, "b"), "home.org/alias:latest");
    let named = Paths { named: Some(machine.path("named.conf")), ..machine.paths() };
    let registries = Registries::load(&named).unwrap();
    assert_eq!(first(&registries, "x"), "named.org/x:latest");
    assert_eq!(first(&registries, "a"), "etc.org/alias:latest");
    assert_eq!(first(&registries, "b"), "home.org/alias:latest");
    let absent = Paths { named: Some(machine.path("absent.conf")), ..machine.paths() };
    let error = Registries::load(&absent).unwrap_err().to_string();
    assert!(error.ends_with("/absent.conf: cannot read: no such file or directory"), "{error}");
}

#[test]
fn nothing_at_all_is_a_configuration() {
    let machine = Machine::new(&[]);
    assert_eq!(first(&machine.load(), "nginx"), "docker.io/library/nginx:latest");
    let named = Paths { named: Some("/dev/null".into()), ..machine.paths() };
    assert_eq!(first(&Registries::load(&named).unwrap(), "a/b"), "docker.io/a/b:latest");
}

#[test]
fn files_that_are_none_are_refused() {
    let drop_in = "etc/registries.conf.d/a.conf";
    let machine = Machine::new(&[(drop_in, "")]);
    std::fs::write(machine.path(drop_in), b"# \xff").unwrap();
    assert_eq!(machine.refused(), format!("/{drop_in}: is not UTF-8 text"));
    std::fs::write(machine.path(drop_in), vec![b'#'; 10 << 20]).unwrap();
    assert!(machine.refused().contains("is larger than 1048576 bytes"));
    std::fs::remove_file(machine.path(drop_in)).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, machine.path(drop_in), rustix::fs::Mode::RUSR).unwrap();
    assert_eq!(machine.refused(), format!("/{drop_in}: is not a file"));
    std::fs::remove_file(machine.path(drop_in)).unwrap();
    std::os::unix::fs::symlink("/dev/zero", machine.path(drop_in)).unwrap();
    assert_eq!(machine.refused(), format!("/{drop_in}: is not a file"));
    // An editor's lock is a link to nowhere.
    std::fs::remove_file(machine.path(drop_in)).unwrap();
    std::os::unix::fs::symlink("/nowhere", machine.path(drop_in)).unwrap();
    assert_eq!(first(&machine.load(), "x"), "docker.io/library/x:latest");
    std::fs::create_dir(machine.path("etc/registries.conf")).unwrap();
    assert_eq!(machine.refused(), "/etc/registries.conf: is not a file");
    let machine =
        Machine::new(&[("cache/short-name-aliases.conf", "short-name-mode = 'disabled'")]);
    assert_eq!(machine.refused(), "/cache/short-name-aliases.conf:1: short-name-mode: unknown key");
    let machine = Machine::new(&[]);
    std::fs::create_dir_all(machine.path("etc/registries.conf.d")).unwrap();
    for number in 0..=1000 {
        std::fs::write(machine.path(&format!("etc/registries.conf.d/{number}.conf")), "").unwrap();
    }
    let message = "/etc/registries.conf.d: has more than 1000 files, which no configuration needs";
    assert_eq!(machine.refused(), message);
}

#[test]
fn paths_come_from_the_user_and_the_environment() {
    let environment = [
        ("HOME", "/home/u"),
        ("CONTAINERS_REGISTRIES_CONF", "/tmp/r.conf"),
        ("XDG_CACHE_HOME", "/cache"),
    ];
    let paths = |setting: Option<&str>, euid, without: &[&str]| {
        Paths::new(setting.map(PathBuf::from), euid, |name| {
            let found = environment.iter().find(|(key, _)| *key == name && !without.contains(key));
            found.map(|(_, value)| OsString::from(value))
        })
    };
    let user = paths(None, 1000, &[]);
    assert_eq!(user.named.as_deref(), Some(Path::new("/tmp/r.conf")));
    assert_eq!(user.system, Path::new("/etc/containers"));
    assert_eq!(user.user.as_deref(), Some(Path::new("/home/u/.config/containers")));
    let aliases = "/cache/containers/short-name-aliases.conf";
    assert_eq!(user.aliases.as_deref(), Some(Path::new(aliases)));
    let plain = paths(None, 1000, &["XDG_CACHE_HOME", "CONTAINERS_REGISTRIES_CONF"]);
    let aliases = "/home/u/.cache/containers/short-name-aliases.conf";
    assert_eq!((plain.named, plain.aliases), (None, Some(aliases.into())));
    assert_eq!(paths(Some("/s"), 1000, &[]).named, Some("/s".into()));
    let root = paths(None, 0, &[]);
    let aliases = "/var/cache/containers/short-name-aliases.conf";
    assert_eq!((root.user, root.aliases), (None, Some(aliases.into())));
    let homeless = paths(None, 1000, &["HOME", "XDG_CACHE_HOME"]);
    assert_eq!((homeless.user, homeless.aliases), (None, None));
}

/// The file that Debian ships, and its aliases.
#[test]
fn the_shape_of_debians_files() {
    let machine = Machine::new(&[
        ("etc/registries.conf", "# unqualified-search-registries = [\"example.com\"]\n"),
        (
            "etc/registries.conf.d/shortnames.conf",
            "[aliases]\n  # centos\n  \"centos\" = \"quay.io/centos/centos\"\n  \
             \"ubi8/ubi\" = \"registry.access.redhat.com/ubi8/ubi\"\n",
        ),
    ]);
    let registries = machine.load();
    assert_eq!(first(&registries, "centos:7"), "quay.io/centos/centos:7");
    assert_eq!(first(&registries, "ubi8/ubi"), "registry.access.redhat.com/ubi8/ubi:latest");
    assert_eq!(first(&registries, "nginx"), "docker.io/library/nginx:latest");
}

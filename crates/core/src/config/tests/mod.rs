//! Whole configurations, from files to values.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

mod problems;

const ROOM: Section = Section {
    name: "proxmox-lxc",
    doc: "A room with one key of every kind.",
    keys: &[
        key("program", Kind::String, Some("crun")),
        key("token_file", Kind::Path, None),
        key("verify", Kind::Bool, Some("true")),
        key("retries", Kind::Integer { min: 1, max: 9 }, Some("3")),
        key("timeout", Kind::Duration, Some("30s")),
        key("mode", Kind::Choice(&["strict", "loose"]), Some("strict")),
        key("tags", Kind::StringList, Some("lxcri,test")),
    ],
};

const fn key(name: &'static str, kind: Kind, default: Option<&'static str>) -> Key {
    Key { name, kind, default, doc: "Something." }
}

fn schema() -> Schema {
    Schema::new([ROOM], ["native", "crun"]).unwrap()
}

/// A configuration directory of root's.
struct Home(TempDir);

impl Home {
    fn new(files: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("conf.d")).unwrap();
        for (name, text) in files {
            std::fs::write(home.path().join(name), text).unwrap();
        }
        Self(home)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn sources(&self, environment: &[(&str, &str)]) -> Sources {
        Sources {
            config_flag: None,
            overrides: Vec::new(),
            environment: environment.iter().map(|(n, v)| (n.into(), v.into())).collect(),
            euid: 0,
            working_directory: Some("/somewhere".into()),
            system_directory: self.0.path().to_owned(),
        }
    }

    fn load(&self) -> Result<Config, Problems> {
        load(&schema(), &self.sources(&[]))
    }
}

fn flag(name: &'static str, section: &'static str, key: &'static str, value: &str) -> Override {
    Override { flag: name, section, key, value: value.into() }
}

#[test]
fn defaults_need_no_file() {
    let home = tempfile::tempdir().unwrap();
    let sources =
        Sources { system_directory: home.path().join("absent"), ..Home::new(&[]).sources(&[]) };
    let config = load(&schema(), &sources).unwrap();
    assert!(config.files().is_empty());
    assert!(config.routes().is_empty());
    assert_eq!(config.get("runtime", "root"), Ok(Path::new("/run/proxmox-lxcri")));
    assert_eq!(config.get("runtime", "default_backend"), Ok("native"));
    assert_eq!(config.get("runtime", "backend_annotation"), Ok(false));
    assert_eq!(config.get::<Option<Duration>>("runtime", "hook_timeout"), Ok(None));
    assert_eq!(config.get("proxmox-lxc", "retries"), Ok(3_i64));
    assert_eq!(config.get("proxmox-lxc", "timeout"), Ok(Duration::from_secs(30)));
    let tags: &[String] = config.get("proxmox-lxc", "tags").unwrap();
    assert_eq!(tags, ["lxcri", "test"]);
    assert!(config.settings().iter().all(|setting| setting.origin == Origin::Default));
}

#[test]
fn wrong_questions_are_typed_errors() {
    let config = Home::new(&[]).load().unwrap();
    let name = |section: &str, key: &str| (section.to_owned(), key.to_owned());
    let (section, key) = name("runtime", "rot");
    let undeclared = LookupError::Undeclared(section, key);
    assert_eq!(config.get::<&str>("runtime", "rot"), Err(undeclared));
    let (section, key) = name("runtime", "root");
    let other = LookupError::OtherKind(section, key, Kind::Path);
    assert_eq!(config.get::<&str>("runtime", "root"), Err(other.clone()));
    assert_eq!(config.get::<Option<bool>>("runtime", "root"), Err(other));
    let (section, key) = name("runtime", "hook_timeout");
    let unset = LookupError::MayBeUnset(section, key);
    assert_eq!(config.get::<Duration>("runtime", "hook_timeout"), Err(unset));
}

#[test]
fn later_sources_win_and_the_origin_is_kept() {
    let home = Home::new(&[
        ("config.toml", "[runtime]\nroot = \"/a\"\nbackend_annotation = true\n"),
        ("conf.d/20.toml", "# late\nruntime.root = \"/c\"\n"),
        ("conf.d/10.toml", "runtime = { root = \"/b\", hook_timeout = \"1m\" }\n"),
        ("conf.d/30.txt", "not toml at all"),
    ]);
    let mut sources = home.sources(&[
        ("PROXMOX_LXCRI_PROXMOX_LXC_RETRIES", "7"),
        ("PROXMOX_LXCRI_LOGGING_LEVEL", "info"),
        ("PROXMOX_LXCRI_CONFIG", ""),
        ("PATH", "/bin"),
    ]);
    sources.overrides = vec![
        flag("--log-level", "logging", "level", "error"),
        flag("--debug", "logging", "level", "debug"),
        flag("--log", "logging", "file", "./out/log"),
    ];
    let config = load(&schema(), &sources).unwrap();
    let origin = |section, key| config.origin(section, key).unwrap().to_string();
    let path = |name: &str| home.path(name).display().to_string();
    assert_eq!(config.get("runtime", "root"), Ok(Path::new("/c")));
    assert_eq!(origin("runtime", "root"), format!("{}:2:16", path("conf.d/20.toml")));
    assert_eq!(origin("runtime", "hook_timeout"), format!("{}:1:41", path("conf.d/10.toml")));
    assert_eq!(origin("runtime", "backend_annotation"), format!("{}:3:22", path("config.toml")));
    assert_eq!(config.get("proxmox-lxc", "retries"), Ok(7_i64));
    let variable = "environment variable PROXMOX_LXCRI_PROXMOX_LXC_RETRIES";
    assert_eq!(origin("proxmox-lxc", "retries"), variable);
    assert_eq!(config.get("logging", "level"), Ok("debug"));
    assert_eq!(origin("logging", "level"), "option --debug");
    assert_eq!(config.get("logging", "file"), Ok(Some(Path::new("/somewhere/out/log"))));
    let files = ["config.toml", "conf.d/10.toml", "conf.d/20.toml"].map(|name| home.path(name));
    assert_eq!(config.files(), files);
}

#[test]
fn one_named_file_replaces_the_directory() {
    let home = Home::new(&[
        ("config.toml", "[runtime]\nroot = \"/a\""),
        ("one.toml", "[runtime]\nroot = \"/one\""),
        ("two.toml", "[runtime]\nroot = \"/two\""),
    ]);
    let one = home.path("one.toml").display().to_string();
    let mut sources = home.sources(&[("PROXMOX_LXCRI_CONFIG", &one)]);
    let root = |sources: &Sources| -> PathBuf {
        load(&schema(), sources).unwrap().get::<&Path>("runtime", "root").unwrap().to_owned()
    };
    assert_eq!(root(&sources), Path::new("/one"));
    sources.config_flag = Some(home.path("two.toml"));
    assert_eq!(root(&sources), Path::new("/two"));
    sources.config_flag = Some(home.path("absent.toml"));
    let error = load(&schema(), &sources).unwrap_err().to_string();
    assert!(error.contains("absent.toml: cannot read: "), "{error}");
}

#[test]
fn users_have_their_own_places() {
    let home = Home::new(&[]);
    for base in ["xdg", "home/.config"] {
        std::fs::create_dir_all(home.path(base).join("proxmox-lxcri")).unwrap();
        let text = format!("[proxmox-lxc]\nprogram = \"{base}\"");
        std::fs::write(home.path(base).join("proxmox-lxcri/config.toml"), text).unwrap();
    }
    let (xdg, own) = (home.path("xdg"), home.path("home"));
    let (xdg, own) = (xdg.to_str().unwrap(), own.to_str().unwrap());
    /// The environment, and the program and the root that come of it.
    type Case<'c> = (&'c [(&'c str, &'c str)], &'c str, &'c str);
    let cases: [Case<'_>; 5] = [
        (&[("HOME", own)], "home/.config", "/run/proxmox-lxcri"),
        (&[("HOME", own), ("XDG_CONFIG_HOME", xdg)], "xdg", "/run/proxmox-lxcri"),
        (&[("HOME", own), ("XDG_CONFIG_HOME", "rel")], "home/.config", "/run/proxmox-lxcri"),
        (&[("XDG_RUNTIME_DIR", "/run/user/7")], "crun", "/run/user/7/proxmox-lxcri"),
        (&[("XDG_RUNTIME_DIR", "/run/user/7"), ("PROXMOX_LXCRI_RUNTIME_ROOT", "/r")], "crun", "/r"),
    ];
    for (environment, program, root) in cases {
        let sources = Sources { euid: 1000, ..home.sources(environment) };
        let config = load(&schema(), &sources).unwrap();
        assert_eq!(config.get("proxmox-lxc", "program"), Ok(program), "{environment:?}");
        assert_eq!(config.get("runtime", "root"), Ok(Path::new(root)), "{environment:?}");
        let as_root = load(&schema(), &home.sources(&environment[..1])).unwrap();
        assert_eq!(as_root.get("runtime", "root"), Ok(Path::new("/run/proxmox-lxcri")));
    }
}

#[test]
fn lenient_loading_keeps_what_is_right() {
    let text = "[runtime]\nroot = \"/srv/state\"\nrot = 1\n[[route]]\nid = \"x\"\n[logging]\n\
                file = \"/cut/of\nlevel =";
    let home = Home::new(&[("config.toml", text)]);
    let (config, problems) = load_leniently(&schema(), &home.sources(&[]));
    assert_eq!(config.get("runtime", "root"), Ok(Path::new("/srv/state")));
    assert_eq!(config.get("logging", "level"), Ok("warn"));
    assert_eq!(config.get::<Option<&Path>>("logging", "file"), Ok(None));
    assert!(config.routes().is_empty());
    let problems = problems.unwrap();
    assert_eq!(problems.iter().count(), 4, "{problems:#?}");
}

#[test]
fn check_looks_at_files_and_directories() {
    let home = Home::new(&[
        ("config.toml", "[runtime]\nrot = 1"),
        ("conf.d/a.toml", "[logging]\nlevel = \"info\""),
        ("single.toml", "[logging]\nlevle = 1"),
    ]);
    let count = |paths: &[&str]| {
        let paths: Vec<_> = paths.iter().map(|name| home.path(name)).collect();
        check(&schema(), &paths).len()
    };
    assert_eq!(count(&["."]), 1);
    assert_eq!(count(&["single.toml"]), 1);
    assert_eq!(count(&["conf.d/a.toml"]), 0);
    assert_eq!(count(&[".", "single.toml", "absent.toml"]), 3);
}

#[test]
fn routes_of_all_files_come_in_reading_order() {
    let home = Home::new(&[
        ("config.toml", "[[route]]\nid = \"web-*\"\nbackend = \"crun\"\n"),
        (
            "conf.d/a.toml",
            "[[route]]\nannotation = \"a=b=c*\"\nbundle = \"/x/*\"\nbackend = \"native\"\n\n\
             [[route]]\nid = \"db\"\nbackend = \"crun\"\n",
        ),
    ]);
    let config = home.load().unwrap();
    let places: Vec<_> = config.routes().iter().map(|route| route.place.clone()).collect();
    let place = |name: &str, at: &str| format!("{}:{at}", home.path(name).display());
    let (first, second) = (place("conf.d/a.toml", "1:1"), place("conf.d/a.toml", "6:1"));
    assert_eq!(places, [place("config.toml", "1:1"), first, second]);
    let (key, pattern) = config.routes()[1].annotation.as_ref().unwrap();
    assert_eq!((key.as_str(), pattern.to_string().as_str()), ("a", "b=c*"));
}

#[test]
fn what_is_shown_reads_back_the_same() {
    let home = Home::new(&[(
        "config.toml",
        "[runtime]\nroot = '/a \"quoted\" é'\n[proxmox-lxc]\nprogram = \"a\\nb#c\"\n\
         tags = [\"x,y\", \"\"]\ntimeout = \"90m\"\n[[route]]\nid = \"w?b\"\n\
         annotation = \"k=v*\"\nbackend = \"crun\"\n",
    )]);
    let config = home.load().unwrap();
    let shown = config.to_toml();
    assert!(shown.starts_with("[runtime]\nroot = "), "{shown}");
    assert!(shown.contains("default_backend = \"native\"  # default\n"), "{shown}");
    assert!(shown.contains("\n# hook_timeout is not set\n"), "{shown}");
    assert!(shown.contains("timeout = \"1h30m\"  # "), "{shown}");
    let again = Home::new(&[("config.toml", &shown)]).load().unwrap();
    let values = |config: &Config| -> Vec<_> {
        config.settings().iter().map(|setting| setting.value.clone()).collect()
    };
    assert_eq!(values(&config), values(&again));
    let rules = |config: &Config| -> Vec<_> {
        let rules = config.routes().iter();
        rules.map(|route| Route { place: String::new(), ..route.clone() }).collect()
    };
    assert_eq!(rules(&config), rules(&again));
}

#[test]
fn the_reference_names_every_key() {
    let text = schema().to_markdown();
    for setting in Home::new(&[]).load().unwrap().settings() {
        assert!(text.contains(&format!("### `{}.{}`\n", setting.section, setting.key.name)));
        assert!(text.contains(setting.key.doc));
    }
    assert!(text.contains("- variable: `PROXMOX_LXCRI_PROXMOX_LXC_TOKEN_FILE`\n"));
    assert!(text.contains("- default: not set\n"));
    assert!(text.contains("- value: one of `native`, `crun`\n"));
    assert!(text.contains("| `annotation` | a string | "));
}

//! Broken configurations, and what is said about them.

use super::*;

/// A document, and of each problem: the place, the text, the hint.
type BadDocument = (&'static str, &'static [(&'static str, &'static str, &'static str)]);

const BAD_DOCUMENTS: &[BadDocument] = &[
    ("[runtime]\nrot = \"/x\"", &[("2:1", "runtime.rot: unknown key", "did you mean \"root\"?")]),
    ("\n[runtme]\nroot = 1", &[("2:2", "runtme: unknown section", "did you mean [runtime]?")]),
    ("root = \"/x\"", &[("1:1", "root: unknown section", "\"root\" belongs under [runtime]")]),
    ("[runtime]\nlevel = 1", &[("2:1", "unknown key", "\"level\" belongs under [logging]")]),
    ("[runtime]\nzzzzz = 1", &[("2:1", "unknown key", "the keys of [runtime] are root, ")]),
    ("runtime = 3", &[("1:11", "runtime: expected a table, found the number 3", "[runtime]")]),
    ("[[runtime]]\nroot = \"/x\"", &[("1:1", "expected a table, found a list", "[runtime]")]),
    ("[runtime]\nroot = 7", &[("2:8", "expected an absolute path, found the number 7", "")]),
    ("[runtime]\nroot = \"x\"", &[("2:8", "expected an absolute path, found \"x\"", "")]),
    ("[runtime]\nroot = \"/a\\u0000b\"", &[("2:8", "runtime.root: holds a NUL byte", "")]),
    (
        "[runtime]\nbackend_annotation = \"true\"",
        &[("2:22", "expected true or false, found the string \"true\"", "true")],
    ),
    (
        "[runtime]\ndefault_backend = \"naitve\"",
        &[("2:19", "expected a backend (native, crun), found \"naitve\"", "\"native\"")],
    ),
    (
        "[runtime]\nhook_timeout = \"30\"",
        &[("2:16", "expected a duration", "a duration has a unit: \"30s\" is 30 seconds")],
    ),
    ("[runtime]\nhook_timeout = 30", &[("2:16", "found the number 30", "")]),
    ("[logging]\nlevel = \"ifno\"", &[("2:9", "expected one of error, warn, info", "\"info\"")]),
    ("[proxmox-lxc]\nretries = 0", &[("2:11", "a whole number from 1 to 9, found 0", "")]),
    ("[proxmox-lxc]\nretries = 0xffffffffffffffffff", &[("2:11", "from 1 to 9, found 0xfff", "")]),
    ("[proxmox-lxc]\nretries = 1.5", &[("2:11", "found a number with a fraction", "")]),
    ("[proxmox-lxc]\ntags = [\"a\", 1]", &[("2:8", "a list of strings, found the number 1", "")]),
    ("[proxmox-lxc]\ntags = \"a\"", &[("2:8", "expected a list of strings", "")]),
    ("é = 1", &[("1:1", "invalid unquoted key", "")]),
    ("\"a\\u001b\\n\" = 1", &[("1:1", "a\\x1b\\n: unknown section", "")]),
    (
        "[runtime]\nroot = \"/x\nrot = 1",
        &[("2:11", "invalid basic string", ""), ("3:1", "rot", "root")],
    ),
    ("[runtime]\nroot = \"/a\"\nroot = \"/b\"", &[("3:1", "duplicate key", "")]),
    (
        "[runtime]\nrot = 1\n[logging]\nlevle = 1\nformat = \"xml\"\n[[route]]\n",
        &[
            ("2:1", "runtime.rot", "root"),
            ("4:1", "logging.levle", "level"),
            ("5:10", "logging.format: expected one of text, json", ""),
            ("6:1", "route: a route needs a backend", ""),
        ],
    ),
    ("route = 1", &[("1:9", "route: expected a list of tables", "[[route]]")]),
    (
        "[route]\nid = \"x\"",
        &[("1:1", "route: expected a list of tables, found a table", "[[route]]")],
    ),
    ("route = [1]", &[("1:10", "route: expected a table, found the number 1", "[[route]]")]),
    (
        "[[route]]\nbackend = \"crun\"",
        &[("1:1", "a route needs at least one of id, bundle and annotation", "default_backend")],
    ),
    ("[[route]]\nid = \"x\"", &[("1:1", "route: a route needs a backend", "")]),
    (
        "[[route]]\nid = \"x\"\nbackend = \"cruun\"",
        &[("3:11", "route.backend: expected a backend", "did you mean \"crun\"?")],
    ),
    (
        "[[route]]\nannotation = \"tier\"\nbackend = \"crun\"",
        &[("2:14", "route.annotation: expected key=pattern", "")],
    ),
    (
        "[[route]]\nids = \"x\"\nbackend = \"crun\"",
        &[("2:1", "route.ids: unknown key", "did you mean \"id\"?")],
    ),
    ("[[route]]\nid = 1\nbackend = \"crun\"", &[("2:6", "route.id: expected a string", "")]),
];

#[test]
fn every_problem_has_its_place_and_hint() {
    for (text, expected) in BAD_DOCUMENTS {
        let home = Home::new(&[("config.toml", text)]);
        let problems = home.load().unwrap_err();
        let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), expected.len(), "{text}\n{shown:#?}");
        for (problem, (place, fault, hint)) in problems.iter().zip(*expected) {
            let start = format!("{}:{place}: ", home.path("config.toml").display());
            let line = problem.to_string();
            assert!(line.starts_with(&start) && line.contains(fault), "{text}\n{line}");
            let given = problem.hint.as_deref().unwrap_or_default();
            assert!(given.contains(hint), "{text}\n{given}");
            assert!(!hint.is_empty() || given.is_empty() || fault.is_empty(), "{text}\n{given}");
        }
    }
}

#[test]
fn hostile_documents_end_in_errors() {
    let nested = format!("x = {}", "[".repeat(100_000));
    let tables = format!("{} = 1", vec!["a"; 100_000].join("."));
    let many: String = (0..5_000).map(|number| format!("k{number} = 1\n")).collect();
    let control = "[runtime]\nroot = \"/\x1b[2J\"".to_owned();
    for text in [nested, tables, many, control, "\0".to_owned(), "= = =".to_owned()] {
        let home = Home::new(&[("config.toml", &text)]);
        let problems = home.load().unwrap_err();
        assert!((1..=100).contains(&problems.iter().count()));
        for problem in &problems {
            let line = problem.to_string();
            assert!(!line.contains(['\n', '\x1b', '\0']), "{line:?}");
        }
    }
}

#[test]
fn unreadable_files_are_named() {
    let home = Home::new(&[]);
    std::fs::create_dir(home.path("config.toml")).unwrap();
    std::fs::create_dir(home.path("conf.d/10.toml")).unwrap();
    std::fs::write(home.path("conf.d/20.toml"), b"\xff\xfe").unwrap();
    std::fs::write(home.path("conf.d/30.toml"), vec![b'#'; 10 << 20]).unwrap();
    let problems = home.load().unwrap_err();
    let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        ("config.toml", "is a directory, not a file"),
        ("conf.d/10.toml", "is a directory, not a file"),
        ("conf.d/20.toml", "is not UTF-8 text"),
        ("conf.d/30.toml", "is larger than 1048576 bytes, which no configuration needs"),
    ];
    let expected = expected.map(|(name, fault)| format!("{}: {fault}", home.path(name).display()));
    assert_eq!(shown, expected);
    std::fs::remove_dir_all(home.path("conf.d")).unwrap();
    std::fs::write(home.path("conf.d"), "").unwrap();
    assert!(home.load().unwrap_err().to_string().contains("(and 1 more)"));
}

#[test]
fn bad_variables_and_options_are_named() {
    let mut sources = Home::new(&[]).sources(&[
        ("PROXMOX_LXCRI_RUNTIME_ROTO", "/x"),
        ("PROXMOX_LXCRI_", "x"),
        ("PROXMOX_LXCRI_LOGGING_LEVEL", "lots"),
        ("PROXMOX_LXCRI_RUNTIME_ROOT", ""),
    ]);
    sources.overrides = vec![
        flag("--log-format", "logging", "format", "jsom"),
        flag("--odd", "logging", "odd", "x"),
        flag("--log", "logging", "file", ""),
    ];
    let problems = load(&schema(), &sources).unwrap_err();
    let shown: Vec<_> = problems
        .iter()
        .map(|problem| format!("{problem} | {}", problem.hint.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(
        shown,
        [
            "environment variable PROXMOX_LXCRI_RUNTIME_ROTO: no key has this name | did you mean \
             PROXMOX_LXCRI_RUNTIME_ROOT?",
            "environment variable PROXMOX_LXCRI_: no key has this name | ",
            "environment variable PROXMOX_LXCRI_LOGGING_LEVEL: logging.level: expected one of \
             error, warn, info, debug, trace, found \"lots\" | ",
            "environment variable PROXMOX_LXCRI_RUNTIME_ROOT: runtime.root: expected an absolute \
             path, found \"\" | ",
            "option --log-format: logging.format: expected one of text, json, found \"jsom\" | \
             did you mean \"json\"?",
            "option --odd: logging.odd: unknown key | ",
            "option --log: logging.file: expected an absolute path, found \"\" | ",
        ]
    );
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let mut sources = Home::new(&[]).sources(&[]);
    let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    sources.environment = vec![
        (bytes(b"PROXMOX_LXCRI_RUNTIME_ROOT"), bytes(b"/\xff")),
        (bytes(b"PROXMOX_LXCRI_\xff"), bytes(b"x")),
        (bytes(b"OTHER\xff"), bytes(b"\xff")),
    ];
    let problems = load(&schema(), &sources).unwrap_err();
    let faults: Vec<_> = problems.iter().map(|problem| &problem.fault).collect();
    assert!(matches!(faults[..], [Fault::NotUtf8, Fault::UnknownVariable]), "{faults:?}");
}

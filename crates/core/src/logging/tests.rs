use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};

use log::Level;

use super::*;
use crate::config::{Kind, LOGGING};

fn settings() -> Settings {
    Settings {
        level: LevelFilter::Info,
        format: Format::Json,
        file: None,
        journald: false,
        colour: false,
    }
}

fn emit(logger: &Logger, level: Level, message: &str) {
    logger.log(&Record::builder().level(level).args(format_args!("{message}")).build());
}

fn open(settings: Settings, socket: &Path) -> (Logger, impl Fn() -> String) {
    let captured = Arc::new(Mutex::new(Vec::new()));
    let stderr = Stderr::Captured(Arc::clone(&captured));
    let logger = Logger::open_with(settings, socket, stderr).unwrap();
    (logger, move || String::from_utf8(captured.lock().unwrap().clone()).unwrap())
}

#[test]
fn without_a_file_everything_is_on_stderr() {
    let (logger, stderr) = open(settings(), Path::new("/nonexistent"));
    emit(&logger, Level::Error, "bad");
    emit(&logger, Level::Info, "fine");
    emit(&logger, Level::Debug, "too much");
    assert_eq!(stderr(), "error: bad\ninfo: fine\n");
}

#[test]
fn with_a_file_stderr_has_errors_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.json");
    std::fs::write(&path, "earlier\n").unwrap();
    let (logger, stderr) =
        open(Settings { file: Some(path.clone()), ..settings() }, Path::new("/nonexistent"));
    emit(&logger, Level::Error, "bad");
    emit(&logger, Level::Warn, "odd");
    assert_eq!(stderr(), "error: bad\n");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0], "earlier");
    assert!(lines[1].starts_with("{\"level\":\"error\",\"msg\":\"bad\",\"time\":\""), "{text}");
    assert!(lines[2].starts_with("{\"level\":\"warning\",\"msg\":\"odd\""), "{text}");
}

#[test]
fn a_new_file_is_private_and_its_directory_is_not_made() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log");
    let socket = Path::new("/nonexistent");
    let (_logger, _) = open(Settings { file: Some(path.clone()), ..settings() }, socket);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for wrong in [home.path().join("absent/log"), home.path().to_owned()] {
        let settings = Settings { file: Some(wrong.clone()), ..settings() };
        let error = Logger::open(settings).unwrap_err();
        assert!(error.to_string().contains(&format!("{wrong:?}")), "{error}");
    }
    assert!(!home.path().join("absent").exists());
}

#[test]
fn an_unreachable_journal_makes_no_file() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log");
    let socket = home.path().join("socket");
    let settings = Settings { file: Some(path.clone()), journald: true, ..settings() };
    let error = Logger::open_with(settings, &socket, Stderr::Process).unwrap_err();
    assert!(matches!(error, LoggingError::Journal { .. }), "{error}");
    assert!(!path.exists());
}

#[test]
fn what_a_target_does_not_take_goes_to_stderr() {
    let (logger, stderr) =
        open(Settings { file: Some("/dev/full".into()), ..settings() }, Path::new("/nonexistent"));
    emit(&logger, Level::Info, "precious");
    let text = stderr();
    assert!(text.starts_with("warning: cannot write the log file \"/dev/full\": "), "{text}");
    assert!(text.ends_with("\ninfo: precious\n"), "{text}");

    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("socket");
    let receiver = UnixDatagram::bind(&socket).unwrap();
    let (logger, stderr) = open(Settings { journald: true, ..settings() }, &socket);
    emit(&logger, Level::Info, "taken");
    assert_eq!(stderr(), "");
    drop(receiver);
    emit(&logger, Level::Info, "precious");
    assert!(stderr().contains("cannot write to the journal"), "{}", stderr());
    assert!(stderr().ends_with("info: precious\n"), "{}", stderr());
}

#[test]
fn colour_needs_a_terminal_and_consent() {
    assert!(colour(true, None));
    assert!(colour(true, Some(OsStr::new(""))));
    assert!(!colour(true, Some(OsStr::new("1"))));
    assert!(!colour(false, None));
}

#[test]
fn every_level_of_the_schema_is_a_level() {
    let key = LOGGING.keys.iter().find(|key| key.name == "level").unwrap();
    let Kind::Choice(levels) = key.kind else { panic!("{:?}", key.kind) };
    for level in levels {
        assert!(level.parse::<LevelFilter>().is_ok(), "{level}");
    }
}

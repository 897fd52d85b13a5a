//! Against a systemd of our own at the other end of a socket pair.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use super::*;
use crate::systemd::message::length;

const JOB: &str = "/org/freedesktop/systemd1/job/1";

/// One message in little endian: kind, call that it answers, error's name or signal, arguments.
fn message(kind: u8, reply_to: u32, name: &str, arguments: &[&str]) -> Vec<u8> {
    let mut body = Writer::default();
    let is_signal = kind == 4;
    if is_signal {
        body.u32(1);
    }
    arguments.iter().for_each(|text| body.text(text));
    let mut writer = Writer::default();
    writer.bytes.extend([b'l', kind, 1, 1]);
    writer.u32(u32::try_from(body.bytes.len()).unwrap());
    writer.u32(1);
    writer.array(8, |w| {
        w.bytes.push(5);
        w.signature("u");
        w.u32(reply_to);
        if !name.is_empty() {
            w.align(8);
            w.bytes.push(if is_signal { 3 } else { 4 });
            w.signature("s");
            w.text(name);
        }
        w.align(8);
        w.bytes.push(8);
        w.signature("g");
        let first = if is_signal { "u" } else { "" };
        w.signature(&format!("{first}{}", "s".repeat(arguments.len())));
    });
    writer.align(8);
    writer.bytes.extend(body.bytes);
    writer.bytes
}

fn ended(result: &str) -> Vec<u8> {
    message(4, 0, "JobRemoved", &[JOB, "a.scope", result])
}

/// A manager whose n-th call is answered by the bytes of the n-th script. Gives the calls in the end.
fn scripted(scripts: Vec<Vec<Vec<u8>>>) -> (Manager, JoinHandle<Vec<Vec<u8>>>) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let thread = std::thread::spawn(move || {
        let mut lines = [0; 1024];
        let read = theirs.read(&mut lines).unwrap();
        assert!(lines.starts_with(b"\0AUTH EXTERNAL "));
        // With what comes before: the real systemd may overlook what follows a late one.
        assert!(lines[..read].ends_with(b"\r\nBEGIN\r\n"));
        theirs.write_all(b"OK 1234\r\n").unwrap();
        let mut calls = Vec::new();
        for script in scripts {
            let mut call = vec![0; 16];
            theirs.read_exact(&mut call).unwrap();
            call.resize(length(&call).unwrap(), 0);
            theirs.read_exact(&mut call[16..]).unwrap();
            calls.push(call);
            script.iter().for_each(|bytes| theirs.write_all(bytes).unwrap());
        }
        calls
    });
    (Manager { bus: Bus::over(ours).unwrap() }, thread)
}

fn unit() -> Unit {
    Unit::plan(Some("b.slice:p:n"), "id").unwrap()
}

fn has(call: &[u8], text: &str) -> bool {
    call.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_scope_is_waited_for() {
    // News of the job may come before the answer that names it.
    let script = vec![ended("done"), message(2, 1, "", &[JOB])];
    let (mut manager, thread) = scripted(vec![script]);
    manager.start_scope(&unit(), "text", 77, Vec::new()).unwrap();
    let calls = thread.join().unwrap();
    for text in ["StartTransientUnit", "p-n.scope", "b.slice", "ssa(sv)a(sa(sv))", "Delegate"] {
        assert!(has(&calls[0], text), "{text}");
    }
}

#[test]
fn a_job_that_fails_is_an_error() {
    let (mut manager, thread) = scripted(vec![vec![message(2, 1, "", &[JOB]), ended("failed")]]);
    let error = manager.start_scope(&unit(), "text", 77, Vec::new()).unwrap_err();
    assert!(matches!(&error, Error::Job { result, .. } if result == "failed"), "{error}");
    thread.join().unwrap();
}

#[test]
fn what_is_left_of_a_failed_unit_is_reset_once() {
    let exists = |call| message(3, call, UNIT_EXISTS, &["Unit p-n.scope already exists."]);
    let good = vec![
        vec![exists(1)],
        vec![message(2, 2, "", &[])],
        vec![message(2, 3, "", &[JOB]), ended("done")],
    ];
    let (mut manager, thread) = scripted(good);
    manager.start_scope(&unit(), "text", 77, Vec::new()).unwrap();
    assert!(has(&thread.join().unwrap()[1], "ResetFailedUnit"));
    let (mut manager, thread) =
        scripted(vec![vec![exists(1)], vec![message(2, 2, "", &[])], vec![exists(3)]]);
    let error = manager.start_scope(&unit(), "text", 77, Vec::new()).unwrap_err();
    assert_eq!(error.name(), Some(UNIT_EXISTS), "{error}");
    thread.join().unwrap();
}

#[test]
fn only_limits_may_be_unknown() {
    let refusal = |call, name: &str| {
        message(3, call, READ_ONLY, &[&format!("Cannot set property {name}, or unknown property.")])
    };
    let limits = || vec![Property::optional("AllowedCPUs", Value::Bytes(vec![1]))];
    let scripts =
        vec![vec![refusal(1, "AllowedCPUs")], vec![message(2, 2, "", &[JOB]), ended("done")]];
    let (mut manager, thread) = scripted(scripts);
    manager.start_scope(&unit(), "text", 77, limits()).unwrap();
    let calls = thread.join().unwrap();
    assert!(has(&calls[0], "AllowedCPUs") && !has(&calls[1], "AllowedCPUs"));
    let (mut manager, thread) = scripted(vec![vec![refusal(1, "Slice")]]);
    assert!(manager.start_scope(&unit(), "text", 77, limits()).is_err());
    thread.join().unwrap();
}

#[test]
fn properties_that_come_later_count() {
    let (mut manager, thread) = scripted(vec![vec![message(2, 1, "", &[JOB]), ended("done")]]);
    let more = vec![Property::required("CollectMode", Value::Text("inactive".to_owned()))];
    manager.start_scope(&unit(), "text", 77, more).unwrap();
    let calls = thread.join().unwrap();
    assert!(has(&calls[0], "inactive") && !has(&calls[0], "inactive-or-failed"));
}

#[test]
fn stopping_what_is_gone_is_fine() {
    let no = || message(3, 1, NO_SUCH_UNIT, &["Unit p-n.scope not loaded."]);
    let (mut manager, thread) = scripted(vec![vec![no()]]);
    manager.stop(&unit()).unwrap();
    thread.join().unwrap();
    let other = message(3, 1, "org.freedesktop.DBus.Error.AccessDenied", &["Denied."]);
    let (mut manager, thread) = scripted(vec![vec![other]]);
    assert!(manager.stop(&unit()).is_err());
    thread.join().unwrap();
}

#[test]
fn a_connection_that_breaks_is_an_error() {
    for bytes in [vec![], b"nonsense that is no message".to_vec(), message(2, 1, "", &[JOB])] {
        let (mut manager, thread) = scripted(vec![vec![bytes]]);
        assert!(manager.start_scope(&unit(), "text", 77, Vec::new()).is_err());
        thread.join().unwrap();
    }
}

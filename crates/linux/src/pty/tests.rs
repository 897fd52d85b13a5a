use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::io::{FdFlags, fcntl_getfd};
use rustix::termios::{LocalModes, isatty, ttyname};

use super::*;
use crate::forked_child;

fn devpts() -> OwnedFd {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open("/dev/pts", flags, Mode::empty()).unwrap()
}

fn pty() -> Pty {
    open(devpts().as_fd()).unwrap()
}

fn text(fd: &OwnedFd) -> String {
    let mut bytes = [0; 64];
    let length = File::from(fd.try_clone().unwrap()).read(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[test]
fn both_ends_talk() {
    let pty = pty();
    assert!(isatty(&pty.master) && isatty(&pty.peer));
    for fd in [&pty.master, &pty.peer] {
        assert!(fcntl_getfd(fd).unwrap().contains(FdFlags::CLOEXEC));
    }
    File::from(pty.peer.try_clone().unwrap()).write_all(b"out\n").unwrap();
    assert_eq!(text(&pty.master), "out\r\n");
    File::from(pty.master.try_clone().unwrap()).write_all(b"in\n").unwrap();
    assert_eq!(text(&pty.peer), "in\n");
}

#[test]
fn not_a_devpts() {
    let dir = tempfile::tempdir().unwrap();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(dir.path(), flags, Mode::empty()).unwrap();
    assert_eq!(open(fd.as_fd()).unwrap_err().to_string(), "failed to open ptmx of devpts");
    std::fs::write(dir.path().join("ptmx"), "a file").unwrap();
    assert_eq!(open(fd.as_fd()).unwrap_err().to_string(), "failed to unlock the new terminal");
    std::fs::remove_file(dir.path().join("ptmx")).unwrap();
    std::os::unix::fs::symlink("/dev/pts/ptmx", dir.path().join("ptmx")).unwrap();
    assert_eq!(open(fd.as_fd()).unwrap_err().to_string(), "failed to open ptmx of devpts");
}

#[test]
fn sizes() {
    let pty = pty();
    let wanted = Winsize { ws_row: 33, ws_col: 111, ws_xpixel: 0, ws_ypixel: 0 };
    set_size(&pty.master, wanted).unwrap();
    let got = size(&pty.peer).unwrap();
    assert_eq!((got.ws_row, got.ws_col), (33, 111));
    let file = File::open("/dev/null").unwrap();
    assert!(size(&file).is_err() && set_size(&file, wanted).is_err());
}

#[test]
fn raw_mode_is_restored() {
    let pty = pty();
    let modes = || tcgetattr(&pty.peer).unwrap().local_modes;
    let before = modes();
    assert!(before.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
    {
        let _raw = RawMode::enter(pty.peer.as_fd()).unwrap();
        assert!(!modes().intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
        File::from(pty.master.try_clone().unwrap()).write_all(b"\x03").unwrap();
        assert_eq!(text(&pty.peer), "\x03", "control-c is a byte like any other");
    }
    assert_eq!(modes(), before);
    assert!(RawMode::enter(File::open("/dev/null").unwrap().as_fd()).is_err());
}

#[test]
fn controlling_terminal() {
    let pty = pty();
    let outcome = forked_child::run(|| {
        assert!(make_controlling(&pty.peer).is_err(), "not the leader of a session");
        rustix::process::setsid().unwrap();
        assert!(File::open("/dev/tty").is_err(), "none yet");
        make_controlling(&pty.peer).unwrap();
        let tty = rustix::fs::open("/dev/tty", OFlags::RDWR, Mode::empty()).unwrap();
        set_size(&tty, Winsize { ws_row: 7, ws_col: 9, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        vec![]
    });
    assert!(outcome.status.success());
    assert_eq!(size(&pty.master).unwrap().ws_row, 7, "/dev/tty was this terminal");
}

#[test]
fn a_descriptor_travels_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let long = dir.path().join("x".repeat(120));
    std::fs::create_dir(&long).unwrap();
    for path in [dir.path().join("socket"), long.join("socket")] {
        let listener = {
            // bind has the same limit as connect, so go by a short way
            let short = dir.path().join("bound");
            let listener = UnixListener::bind(&short).unwrap();
            std::fs::rename(&short, &path).unwrap();
            listener
        };
        let pty = pty();
        let near = connect(&path).unwrap();
        send_fd_over(near.as_fd(), pty.master.as_fd(), "/dev/pts/0").unwrap();
        let (stream, _) = listener.accept().unwrap();
        let (fd, name) = receive_fd(stream.as_fd()).unwrap();
        assert_eq!(name, "/dev/pts/0");
        assert!(fcntl_getfd(&fd).unwrap().contains(FdFlags::CLOEXEC));
        drop(pty.master);
        let mut received = File::from(fd);
        received.write_all(b"hello\n").unwrap();
        assert_eq!(text(&pty.peer), "hello\n");
        assert!(ttyname(&pty.peer, Vec::new()).is_ok());
    }
}

#[test]
fn no_socket_is_named() {
    let file = File::open("/dev/null").unwrap();
    assert!(connect(Path::new("/nowhere/console.sock")).is_err());
    let (one, _two) = UnixStream::pair().unwrap();
    assert!(matches!(send_fd_over(one.as_fd(), file.as_fd(), ""), Err(Error::Send { .. })));
    let closed = UnixStream::pair().unwrap().0;
    assert!(send_fd_over(closed.as_fd(), file.as_fd(), "x").is_err(), "and no SIGPIPE");
}

#[test]
fn hostile_messages() {
    let open_fds = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    // Other tests open descriptors in this process too; a child has only its own.
    let outcome = forked_child::run(|| {
        let (one, two) = UnixStream::pair().unwrap();
        let before = open_fds();
        (&one).write_all(b"only text").unwrap();
        let mut told = vec![receive_fd(two.as_fd()).unwrap_err().to_string()];
        for count in [2, 4, 40] {
            let fds = vec![one.as_fd(); count];
            let mut space = vec![std::mem::MaybeUninit::uninit(); 1024];
            let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
            assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&fds)));
            let bytes = [std::io::IoSlice::new(b"x")];
            rustix::net::sendmsg(&one, &bytes, &mut control, rustix::net::SendFlags::empty())
                .unwrap();
            told.push(receive_fd(two.as_fd()).unwrap_err().to_string());
        }
        assert_eq!(open_fds(), before, "nothing stays open");
        drop(one);
        told.push(receive_fd(two.as_fd()).unwrap_err().to_string());
        told.join("\n").into_bytes()
    });
    assert_eq!(
        String::from_utf8(outcome.output).unwrap(),
        "received a message without a descriptor\n\
         received more than one descriptor\n\
         received more than one descriptor\n\
         received more than one descriptor\n\
         received the end of the stream in place of a descriptor"
    );
}

//! The user's terminal in front of the container's: keys go in, output comes out, until the
//! container's end is closed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxcri_linux::pty::{self, RawMode, Winsize};
use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::stdio::{stderr, stdin, stdout};

use crate::failure::Failure;
use crate::foreground::ready;

/// Bytes that are moved at once: a pipe that has room at all takes as many without blocking
/// (pipe(7), PIPE_BUF).
const CHUNK: usize = 4096;
/// How long the last output may take to come, in milliseconds, while a process that outlived the
/// one we waited for holds the terminal open.
const LAST_WORDS: i64 = 100;

/// Our end of a pair of sockets; the other takes the master from inside the container.
#[derive(Debug)]
pub(crate) struct Console(OwnedFd);

impl Console {
    /// Both ends: ours, and the one to hand to the library.
    pub(crate) fn pair() -> Result<(Self, OwnedFd), Failure> {
        let kind = (AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC);
        let (ours, theirs) = rustix::net::socketpair(kind.0, kind.1, kind.2, None)
            .map_err(Failure::of("make a console socket"))?;
        Ok((Self(ours), theirs))
    }

    /// The master, which a container that exists has sent.
    pub(crate) fn receive(&self) -> Result<OwnedFd, Failure> {
        let (master, _) =
            pty::receive_fd(self.0.as_fd()).map_err(Failure::of("receive the terminal"))?;
        Ok(master)
    }
}

/// Rows and columns of the terminal the user looks at.
pub(crate) fn size() -> Option<Winsize> {
    [stdin(), stdout(), stderr()].into_iter().find_map(|stream| pty::size(stream).ok())
}

/// Who is at one end of a flow of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Standard input.
    Keyboard,
    /// Standard output.
    Screen,
    /// The container.
    Master,
}

/// Moves bytes between the user's streams and the container's terminal.
#[derive(Debug)]
pub(crate) struct Relay<'t> {
    master: Option<OwnedFd>,
    keyboard: BorrowedFd<'t>,
    keyboard_open: bool,
    screen: BorrowedFd<'t>,
    keys: Vec<u8>,
    output: Vec<u8>,
    _raw: Option<RawMode<'t>>,
}

impl<'t> Relay<'t> {
    /// Starts between `master` and the user. A keyboard that is a terminal goes into raw mode
    /// until this is dropped.
    pub(crate) fn new(
        master: OwnedFd,
        keyboard: BorrowedFd<'t>,
        screen: BorrowedFd<'t>,
    ) -> Result<Self, Failure> {
        let flags = rustix::fs::fcntl_getfl(&master).map_err(Failure::of("terminal"))?;
        rustix::fs::fcntl_setfl(&master, flags | OFlags::NONBLOCK)
            .map_err(Failure::of("terminal"))?;
        let is_terminal = rustix::termios::isatty(keyboard);
        let raw = is_terminal.then(|| RawMode::enter(keyboard)).transpose();
        let relay = Self {
            master: Some(master),
            keyboard,
            keyboard_open: true,
            screen,
            keys: Vec::new(),
            output: Vec::new(),
            _raw: raw.map_err(Failure::of("terminal"))?,
        };
        relay.resize();
        Ok(relay)
    }

    /// Gives the container's terminal the size of the user's.
    pub(crate) fn resize(&self) {
        if let (Some(master), Some(size)) = (&self.master, size())
            && let Err(error) = pty::set_size(master, size)
        {
            log::debug!("the terminal keeps its size: {error}");
        }
    }

    /// What to wait for. Each side only while there is something to do for it: a descriptor that
    /// has hung up is always ready.
    pub(crate) fn interests(&self) -> Vec<(Side, BorrowedFd<'_>, PollFlags)> {
        let mut interests = Vec::new();
        let Some(master) = &self.master else { return interests };
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, self.output.is_empty());
        flags.set(PollFlags::OUT, !self.keys.is_empty());
        if !flags.is_empty() {
            interests.push((Side::Master, master.as_fd(), flags));
        }
        if self.keyboard_open && self.keys.is_empty() {
            interests.push((Side::Keyboard, self.keyboard, PollFlags::IN));
        }
        if !self.output.is_empty() {
            interests.push((Side::Screen, self.screen, PollFlags::OUT));
        }
        interests
    }

    /// Sees to one side that is ready.
    pub(crate) fn serve(&mut self, side: Side, flags: PollFlags) -> Result<(), Failure> {
        match side {
            _ if flags.is_empty() => Ok(()),
            Side::Keyboard => self.read_keys(),
            Side::Screen => self.write_output(),
            Side::Master => {
                self.write_keys()?;
                self.read_output()
            }
        }
    }

    /// Everything the container had to say before it ended.
    pub(crate) fn drain(mut self) -> Result<(), Failure> {
        while self.master.is_some() || !self.output.is_empty() {
            if !self.output.is_empty() {
                if ready(self.screen, PollFlags::OUT, LAST_WORDS)? {
                    self.write_output()?;
                }
                continue;
            }
            let Some(master) = &self.master else { break };
            if !ready(master, PollFlags::IN, LAST_WORDS)? {
                break;
            }
            self.read_output()?;
        }
        Ok(())
    }

    /// The end of the input is not the end of the container: it may have more to say.
    fn read_keys(&mut self) -> Result<(), Failure> {
        let mut bytes = [0; CHUNK];
        match rustix::io::read(self.keyboard, &mut bytes) {
            Ok(0) | Err(Errno::IO | Errno::BADF) => self.keyboard_open = false,
            Ok(length) => self.keys.extend_from_slice(&bytes[..length]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(Failure::of("read standard input")(errno)),
        }
        Ok(())
    }

    fn write_keys(&mut self) -> Result<(), Failure> {
        let Some(master) = self.master.as_ref().filter(|_| !self.keys.is_empty()) else {
            return Ok(());
        };
        match rustix::io::write(master, &self.keys) {
            Ok(length) => drop(self.keys.drain(..length)),
            // Nobody is there to read them.
            Err(Errno::IO) => self.keys.clear(),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(Failure::of("write to the container's terminal")(errno)),
        }
        Ok(())
    }

    /// EIO: the container's end is closed for good.
    fn read_output(&mut self) -> Result<(), Failure> {
        let Some(master) = self.master.as_ref().filter(|_| self.output.is_empty()) else {
            return Ok(());
        };
        let mut bytes = [0; CHUNK];
        match rustix::io::read(master, &mut bytes) {
            Ok(0) | Err(Errno::IO) => self.master = None,
            Ok(length) => self.output.extend_from_slice(&bytes[..length]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(Failure::of("read the container's terminal")(errno)),
        }
        Ok(())
    }

    /// Where nobody looks any more the terminal is gone, and closing the master tells the container
    /// so (SIGHUP), as with every terminal.
    fn write_output(&mut self) -> Result<(), Failure> {
        match rustix::io::write(self.screen, &self.output) {
            Ok(length) => drop(self.output.drain(..length)),
            Err(Errno::PIPE | Errno::IO) => {
                self.output.clear();
                self.master = None;
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(Failure::of("write to standard output")(errno)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A pseudoterminal of the machine, and its other end.
    fn terminal() -> (OwnedFd, OwnedFd) {
        let dir = std::fs::File::open("/dev/pts").unwrap();
        let pair = pty::open(dir.as_fd()).unwrap();
        (pair.master, pair.peer)
    }

    fn serve_once(relay: &mut Relay<'_>) {
        let ready: Vec<_> = relay
            .interests()
            .into_iter()
            .filter(|(_, fd, flags)| ready(fd, *flags, 50).unwrap())
            .map(|(side, _, flags)| (side, flags))
            .collect();
        for (side, flags) in ready {
            relay.serve(side, flags).unwrap();
        }
    }

    #[test]
    fn bytes_go_both_ways_and_the_end_of_input_is_not_the_end() {
        let (mut user_keys, keyboard) = UnixStream::pair().unwrap();
        let (mut user_sees, screen) = UnixStream::pair().unwrap();
        let (master, peer) = terminal();
        let keyboard = keyboard.as_fd();
        let mut relay = Relay::new(master, keyboard, screen.as_fd()).unwrap();
        user_keys.write_all(b"ls\n").unwrap();
        drop(user_keys);
        for _ in 0..4 {
            serve_once(&mut relay);
        }
        let mut container = std::fs::File::from(peer);
        let mut line = [0; 3];
        container.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"ls\n");
        container.write_all(b"last words").unwrap();
        drop(container);
        relay.drain().unwrap();
        drop(screen);
        let mut seen = String::new();
        user_sees.read_to_string(&mut seen).unwrap();
        assert_eq!(seen, "ls\r\nlast words");
    }

    #[test]
    fn a_survivor_that_holds_the_terminal_does_not_hold_us() {
        let (_user, keyboard) = UnixStream::pair().unwrap();
        let (master, _peer) = terminal();
        let keyboard = keyboard.as_fd();
        let relay = Relay::new(master, keyboard, stderr()).unwrap();
        relay.drain().unwrap();
    }

    #[test]
    fn a_console_that_nobody_uses_is_an_error() {
        let (console, theirs) = Console::pair().unwrap();
        drop(theirs);
        assert!(console.receive().is_err());
    }
}

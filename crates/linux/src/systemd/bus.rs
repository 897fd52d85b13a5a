//! A connection to systemd: its private socket for root, otherwise the system bus.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::message::{Call, FIXED, Kind, length};
use super::value::Writer;
use super::{Argument, Error, Malformed, Message, connect, talk};

/// systemd itself, for root: works without a bus daemon (systemd's own systemctl(1) uses it).
const PRIVATE: &str = "/run/systemd/private";
/// The bus of the machine (D-Bus specification, "Well-known Message Bus Instances").
const SYSTEM: &str = "/run/dbus/system_bus_socket";
/// How long systemd may take for one call, and for one job. runc waits as long.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// The longest line of the authentication.
const LINE_MAX: usize = 16 << 10;

/// An open connection.
#[derive(Debug)]
pub(super) struct Bus {
    socket: UnixStream,
    serial: u32,
    /// Jobs that ended while something else was waited for: path and result.
    ended: Vec<(String, String)>,
}

impl Bus {
    /// Connects and asks for news of jobs.
    pub(super) fn open() -> Result<Self, Error> {
        if rustix::process::geteuid().is_root()
            && let Ok(mut bus) = Self::connect(Path::new(PRIVATE))
        {
            // There everybody gets the news.
            bus.call_manager("Subscribe", "", &Writer::default())?;
            return Ok(bus);
        }
        let mut bus = Self::connect(Path::new(SYSTEM))?;
        bus.call(&daemon("Hello", ""), &Writer::default())?;
        let mut rule = Writer::default();
        rule.text(
            "type='signal',sender='org.freedesktop.systemd1',\
             interface='org.freedesktop.systemd1.Manager',member='JobRemoved'",
        );
        bus.call(&daemon("AddMatch", "s"), &rule)?;
        bus.call_manager("Subscribe", "", &Writer::default())?;
        Ok(bus)
    }

    fn connect(path: &Path) -> Result<Self, Error> {
        let open = || -> io::Result<UnixStream> {
            let kind = SocketType::STREAM;
            let flags = SocketFlags::CLOEXEC;
            let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None)?;
            // Set before connecting, which a full backlog would hold up forever.
            set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
            rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
            Ok(UnixStream::from(socket))
        };
        Self::over(open().map_err(connect(path))?)
    }

    /// Authenticates as who we are (specification, "EXTERNAL mechanism"). The end of it is sent along,
    /// as sd-bus does: systemd forgets a message that it reads together with the BEGIN before it,
    /// until another one comes.
    pub(super) fn over(mut socket: UnixStream) -> Result<Self, Error> {
        let uid = rustix::process::geteuid().as_raw().to_string();
        let hex: String = uid.bytes().map(|digit| format!("{digit:02x}")).collect();
        let hello = format!("\0AUTH EXTERNAL {hex}\r\nBEGIN\r\n");
        socket.write_all(hello.as_bytes()).map_err(talk("authenticate to"))?;
        let mut bus = Self { socket, serial: 0, ended: Vec::new() };
        let answer = bus.line()?;
        if !answer.starts_with("OK ") {
            return Err(Error::Authentication(answer));
        }
        Ok(bus)
    }

    /// One line of the authentication.
    fn line(&mut self) -> Result<String, Error> {
        let deadline = Instant::now() + PATIENCE;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.fill(&mut byte, deadline)?;
            line.push(byte[0]);
            if line.len() > LINE_MAX {
                return Err(Error::Authentication("it does not stop talking".to_owned()));
            }
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// Calls a method of systemd's manager object.
    pub(super) fn call_manager(
        &mut self,
        method: &str,
        signature: &str,
        body: &Writer,
    ) -> Result<Message, Error> {
        let call = Call {
            destination: "org.freedesktop.systemd1",
            path: "/org/freedesktop/systemd1",
            interface: "org.freedesktop.systemd1.Manager",
            method,
            signature,
        };
        self.call(&call, body)
    }

    fn call(&mut self, call: &Call<'_>, body: &Writer) -> Result<Message, Error> {
        self.serial += 1;
        let message = call.write(self.serial, &body.bytes);
        self.socket.write_all(&message).map_err(talk("write to"))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let message = self.next(deadline)?;
            if message.reply_to != Some(self.serial) {
                continue;
            }
            match message.kind {
                Kind::Return => return Ok(message),
                Kind::Error => return Err(refused(call.method, &message)),
                _ => {}
            }
        }
    }

    /// Waits for the end of a job, by its path. Gives its result.
    pub(super) fn wait_for_job(&mut self, path: &str) -> Result<String, Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.ended.iter().position(|(ended, _)| ended == path) {
                return Ok(self.ended.swap_remove(at).1);
            }
            self.next(deadline)?;
        }
    }

    /// The next message. Ends of jobs are remembered.
    fn next(&mut self, deadline: Instant) -> Result<Message, Error> {
        let mut bytes = vec![0; FIXED];
        self.fill(&mut bytes, deadline)?;
        bytes.resize(length(&bytes)?, 0);
        self.fill(&mut bytes[FIXED..], deadline)?;
        let message = Message::parse(&bytes)?;
        if message.kind == Kind::Signal && message.member.as_deref() == Some("JobRemoved") {
            // What is no news of a job is not systemd's: on the bus anybody can send signals.
            self.ended.extend(ended_job(&message).ok().flatten());
        }
        Ok(message)
    }

    fn fill(&mut self, mut buffer: &mut [u8], deadline: Instant) -> Result<(), Error> {
        while !buffer.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(talk("hear from")(ErrorKind::TimedOut.into()));
            }
            self.socket.set_read_timeout(Some(left)).map_err(talk("hear from"))?;
            match self.socket.read(buffer) {
                Ok(0) => return Err(talk("hear from")(ErrorKind::UnexpectedEof.into())),
                Ok(read) => buffer = &mut buffer[read..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The deadline has passed, which the next round finds.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(talk("hear from")(error)),
            }
        }
        Ok(())
    }
}

/// `JobRemoved`: number, path, unit, result.
fn ended_job(message: &Message) -> Result<Option<(String, String)>, Malformed> {
    let mut arguments = message.arguments()?.into_iter();
    let (_, path, _) = (arguments.next(), arguments.next(), arguments.next());
    Ok(match (path, arguments.next()) {
        (Some(Argument::Text(path)), Some(Argument::Text(result))) => Some((path, result)),
        _ => None,
    })
}

/// A call of the bus daemon.
fn daemon<'c>(method: &'c str, signature: &'c str) -> Call<'c> {
    Call {
        destination: "org.freedesktop.DBus",
        path: "/org/freedesktop/DBus",
        interface: "org.freedesktop.DBus",
        method,
        signature,
    }
}

fn refused(call: &str, message: &Message) -> Error {
    let text = match message.arguments().ok().and_then(|all| all.into_iter().next()) {
        Some(Argument::Text(text)) => text,
        _ => "no reason given".to_owned(),
    };
    let name = message.error.clone().unwrap_or_default();
    Error::Refused { call: call.to_owned(), name, message: text }
}

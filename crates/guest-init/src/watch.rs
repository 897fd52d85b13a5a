//! PID 1 at work: one loop over everything that can happen, until the user's process has ended and
//! everybody who has to know it does.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxcri_linux::channel::{Channel, Message as Word};
use lxcri_linux::clone::Child;
use lxcri_linux::process::{Ended, PidFd};
use lxcri_linux::signal::{Event, ForwardedSignals, Signal};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use rustix::process::WaitOptions;

use crate::line::{Line, LineError};
use crate::message::Message;
use crate::payload::Waiting;

/// The most connections at once; further ones wait. Only root of the host can make any.
const CONNECTIONS_MAX: usize = 8;

/// The process that the runtime left for its caller, as PID 1 knows it.
#[derive(Debug)]
pub(crate) struct StandIn {
    line: Line,
    process: PidFd,
}

impl StandIn {
    pub(crate) fn new(line: OwnedFd, process: OwnedFd) -> Self {
        Self { line: Line::from_socket(line), process: PidFd::from_owned(process) }
    }
}

/// How far the user's process is.
#[derive(Debug)]
enum Phase {
    /// It waits for `start`.
    Created,
    /// It was told to go; its answer goes to this connection.
    Starting { asked: Line, executes: bool },
    /// Its program was executed.
    Running,
}

/// Everything that is watched.
#[derive(Debug)]
pub(crate) struct Watch {
    child: Child,
    channel: Option<Channel>,
    phase: Phase,
    signals: ForwardedSignals,
    control: OwnedFd,
    connections: Vec<Line>,
    stand_in: Option<StandIn>,
    /// Whether the stand-in still says something.
    hears_stand_in: bool,
    monitor: Line,
}

/// What a look at all descriptors found.
#[derive(Debug, Default)]
struct Found {
    channel: bool,
    stand_in_spoke: bool,
    stand_in_ended: bool,
    control: bool,
    connections: Vec<bool>,
}

impl Watch {
    /// `control` is a listening socket, on which a runtime says [`Message::Start`].
    pub(crate) fn new(
        Waiting { child, channel }: Waiting,
        signals: ForwardedSignals,
        control: OwnedFd,
        stand_in: Option<StandIn>,
        monitor: Line,
    ) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&control, true)?;
        if let Some(stand_in) = &stand_in {
            stand_in.line.do_not_wait()?;
        }
        Ok(Self {
            child,
            channel: Some(channel),
            phase: Phase::Created,
            signals,
            control,
            connections: Vec::new(),
            hears_stand_in: stand_in.is_some(),
            stand_in,
            monitor,
        })
    }

    /// Watches until the user's process has ended, tells everybody, waits until the stand-in has ended
    /// like it, and says how that was.
    pub(crate) fn run(mut self) -> Ended {
        let ended = loop {
            let Ok(found) = self.look() else { continue };
            if let Some(ended) = self.reap() {
                break ended;
            }
            self.act(&found);
        };
        if let Phase::Starting { asked, executes } =
            std::mem::replace(&mut self.phase, Phase::Running)
        {
            answer_late(&asked, executes, self.channel.as_ref(), ended);
        }
        // Whoever is gone already need not be told.
        let _ = self.monitor.send(&Message::Ended(ended), &[]);
        if let Some(stand_in) = &self.stand_in {
            let _ = stand_in.line.send(&Message::Ended(ended), &[]);
            // It is no child of ours. Were we to end before it, the kernel would kill it, and its
            // parent would read that for the container's end.
            let _ = stand_in.process.wait_for_end(None);
        }
        ended
    }

    /// Waits until something happens. Signals, a child's end among them, are read in [`Self::reap`].
    fn look(&self) -> io::Result<Found> {
        let mut watched: Vec<BorrowedFd<'_>> = vec![self.signals.as_fd()];
        watched.extend(self.channel.as_ref().map(AsFd::as_fd));
        let stand_in = self.stand_in.as_ref();
        let speaks = stand_in.filter(|_| self.hears_stand_in);
        watched.extend(speaks.map(|stand_in| stand_in.line.as_fd()));
        watched.extend(stand_in.map(|stand_in| stand_in.process.as_fd()));
        let listens = self.connections.len() < CONNECTIONS_MAX;
        watched.extend(listens.then(|| self.control.as_fd()));
        watched.extend(self.connections.iter().map(AsFd::as_fd));
        let mut polled: Vec<_> =
            watched.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut ready = polled.iter().map(|fd| !fd.revents().is_empty()).skip(1);
        let mut next = |there: bool| there && ready.next().unwrap_or(false);
        Ok(Found {
            channel: next(self.channel.is_some()),
            stand_in_spoke: next(speaks.is_some()),
            stand_in_ended: next(stand_in.is_some()),
            control: next(listens),
            connections: ready.collect(),
        })
    }

    /// Passes signals on and reaps whoever has ended: its own child, and orphans of processes that
    /// joined the container. Says how the user's process ended.
    fn reap(&mut self) -> Option<Ended> {
        while let Ok(Some(event)) = self.signals.read() {
            match event {
                // Reaped below.
                Event::Children => {}
                Event::WindowSize => self.pass_on(Signal::WINCH.number()),
                Event::Forward(signal) => self.pass_on(signal.number()),
            }
        }
        let mut own = None;
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid.as_raw_nonzero().get() == self.child.pid {
                let exited = status.exit_status().map(Ended::Exited);
                own = exited.or(status.terminating_signal().map(Ended::Killed));
            }
        }
        own
    }

    fn pass_on(&self, signal: i32) {
        // It may have ended meanwhile.
        let _ = self.child.fd.signal(signal);
    }

    fn act(&mut self, found: &Found) {
        if found.channel {
            self.hear_child();
        }
        if found.stand_in_spoke {
            self.hear_stand_in();
        }
        if found.stand_in_ended {
            // Somebody killed the pid that stands for the container.
            self.pass_on(Signal::KILL.number());
            self.stand_in = None;
        }
        let mut ready = found.connections.iter();
        let connections = std::mem::take(&mut self.connections);
        for line in connections {
            if *ready.next().unwrap_or(&false) {
                self.hear(line);
            } else {
                self.connections.push(line);
            }
        }
        if found.control {
            self.accept();
        }
    }

    fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        if let Ok(socket) = rustix::net::accept_with(&self.control, flags) {
            self.connections.push(Line::from_socket(socket));
        }
    }

    /// One request; keeps the connection for what may follow.
    fn hear(&mut self, line: Line) {
        match line.receive() {
            Ok(Some(frame)) => match frame.message {
                Message::Start => return self.start(line),
                Message::Signal(number) => self.pass_on(number),
                // Not from here.
                _ => return,
            },
            Err(LineError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(None) | Err(_) => return,
        }
        self.connections.push(line);
    }

    fn start(&mut self, asked: Line) {
        let told = match (&self.phase, &self.channel) {
            (Phase::Created, Some(channel)) => channel.send(&Word::Go).map_err(|e| e.to_string()),
            _ => Err("the container was started already".to_owned()),
        };
        match told {
            Ok(()) => self.phase = Phase::Starting { asked, executes: false },
            Err(reason) => say(&asked, &Message::Failed(reason)),
        }
    }

    /// The user's process on its way to its program.
    fn hear_child(&mut self) {
        let Some(channel) = &self.channel else { return };
        let word = channel.receive();
        let Phase::Starting { asked, executes } = &mut self.phase else {
            // It was killed while it waited: reaped next.
            self.channel = None;
            return;
        };
        match word {
            Ok(Some(Word::Go)) => return *executes = true,
            Ok(Some(Word::Failed(reason))) => say(asked, &Message::Failed(reason)),
            Ok(None) if *executes => say(asked, &Message::Started),
            _ => say(asked, &Message::Failed(DIED.to_owned())),
        }
        self.channel = None;
        self.phase = Phase::Running;
    }

    fn hear_stand_in(&mut self) {
        let Some(stand_in) = &self.stand_in else { return };
        match stand_in.line.receive() {
            Ok(Some(frame)) => {
                if let Message::Signal(number) = frame.message {
                    self.pass_on(number);
                }
            }
            Err(LineError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Its end is seen on its descriptor.
            Ok(None) | Err(_) => self.hears_stand_in = false,
        }
    }
}

/// What `start` is told of a process that was killed on the way to its program.
const DIED: &str = "the container's process ended before it could run its program";

/// The answer to a `start` whose process has ended before anything else was heard of it: what it
/// said last is still there to be read.
fn answer_late(asked: &Line, executes: bool, channel: Option<&Channel>, ended: Ended) {
    let mut executes = executes;
    loop {
        match channel.map(Channel::receive) {
            Some(Ok(Some(Word::Go))) => executes = true,
            Some(Ok(Some(Word::Failed(reason)))) => return say(asked, &Message::Failed(reason)),
            _ if executes => return say(asked, &Message::Started),
            _ => return say(asked, &Message::Failed(format!("{DIED} ({ended})"))),
        }
    }
}

fn say(line: &Line, message: &Message) {
    // Who asked may have gone away.
    let _ = line.send(message, &[]);
}

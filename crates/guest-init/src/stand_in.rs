//! The process whose pid the caller of the runtime is told. It is the caller's child, and ends like
//! the user's process, which is not.

use std::os::fd::AsFd;

use lxcri_linux::process::{self, Ended};
use lxcri_linux::signal::{Event, ForwardedSignals, Signal};
use lxcri_linux::stand_in::LINE;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::line::Line;
use crate::message::Message;

/// SIGKILL: what PID 1 of a pid namespace does to all others when it ends.
const KILLED: Ended = Ended::Killed(Signal::KILL.number());

/// Waits for the word how to end. Signals that it is sent meanwhile are meant for the user's process,
/// and are told to PID 1, which sends them there. Gives an exit code only where something is wrong.
pub(crate) fn main() -> i32 {
    // Whoever shares the pid namespace shall find nothing here; and a copy of a core dump helps
    // nobody.
    let _ = process::hide();
    let _ = rustix::thread::set_name(c"lxcri-stand-in");
    let (line, signals) = match (process::take_inherited(LINE), ForwardedSignals::new()) {
        (Ok(line), Ok(signals)) => (Line::from_socket(line), signals),
        _ => return 255,
    };
    process::end_like(wait(&line, &signals))
}

/// How the user's process ended. Where PID 1 is gone without a word the container was killed.
fn wait(line: &Line, signals: &ForwardedSignals) -> Ended {
    loop {
        let mut polled = [
            PollFd::from_borrowed_fd(line.as_fd(), PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return KILLED,
        }
        let [from_line, from_signals] = polled.map(|fd| !fd.revents().is_empty());
        if from_signals {
            pass_on(line, signals);
        }
        if from_line {
            match line.receive() {
                Ok(Some(frame)) => {
                    if let Message::Ended(ended) = frame.message {
                        return ended;
                    }
                }
                Ok(None) | Err(_) => return KILLED,
            }
        }
    }
}

fn pass_on(line: &Line, signals: &ForwardedSignals) {
    while let Ok(Some(event)) = signals.read() {
        let signal = match event {
            // It has none.
            Event::Children => continue,
            Event::WindowSize => Signal::WINCH,
            Event::Forward(signal) => signal,
        };
        // Where PID 1 is gone, the line says so next.
        let _ = line.send(&Message::Signal(signal.number()), &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_as_it_is_told_and_as_if_killed_otherwise() {
        let signals = ForwardedSignals::new().unwrap();
        for ended in [Ended::Exited(7), Ended::Killed(11)] {
            let (ours, theirs) = Line::pair().unwrap();
            ours.send(&Message::Ended(ended), &[]).unwrap();
            assert_eq!(wait(&theirs, &signals), ended);
        }
        let (ours, theirs) = Line::pair().unwrap();
        drop(ours);
        assert_eq!(wait(&theirs, &signals), KILLED);
        let (ours, theirs) = Line::pair().unwrap();
        rustix::io::write(&ours, b"nonsense").unwrap();
        assert_eq!(wait(&theirs, &signals), KILLED);
    }
}

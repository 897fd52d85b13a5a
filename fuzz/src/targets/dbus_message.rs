//! What systemd answers over D-Bus. A message is as long as its header says, and its arguments are no
//! more than its bytes.

use lxcri_linux::systemd::{Argument, Message, message_length};

use crate::broken::{Outcome, holds, same};

pub(super) fn run(input: &[u8]) -> Outcome {
    let Ok(message) = Message::parse(input) else { return Ok(()) };
    same(&message_length(input), &Ok(input.len()), "a message has the length that it tells")?;
    let Ok(arguments) = message.arguments() else { return Ok(()) };
    let texts = arguments.iter().map(|argument| match argument {
        Argument::Text(text) => text.len(),
        Argument::Number(_) => 1,
    });
    holds(texts.sum::<usize>() <= input.len(), "arguments are made of the message's bytes")?;
    for at in 0..input.len().min(64) {
        // Cut off anywhere it is no message any more.
        holds(Message::parse(&input[..at]).is_err(), "a part of a message is none")?;
    }
    Ok(())
}

//! What comes out of a container over the line to its PID 1: a kind and a body. What was understood is
//! understood the same when it is said again, and no text in it can move a cursor.

use lxcri_init::message::Message;

use crate::broken::{Outcome, holds, same};

pub(super) fn run(input: &[u8]) -> Outcome {
    let Some((kind, body)) = input.split_first() else { return Ok(()) };
    let Ok(message) = Message::decode(*kind, body) else { return Ok(()) };
    if let Message::Failed(reason) = &message {
        holds(!reason.chars().any(char::is_control), "a reason is one line of text")?;
    }
    let (again, bytes) = message.encode();
    same(&again, kind, "a message keeps its kind")?;
    let Ok(second) = Message::decode(again, &bytes) else {
        return holds(false, "what is written can be read");
    };
    same(&second.encode().1, &bytes, "a message is written in one way")?;
    if !bytes.is_empty() {
        let cut = Message::decode(again, &bytes[..bytes.len() - 1]);
        holds(cut.is_err(), "a part of a message is none")?;
    }
    Ok(())
}

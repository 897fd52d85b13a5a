//! A `WWW-Authenticate` header. What is read of it is bounded, fits into a request, and means the same
//! when it is written down again.

use lxcri_images::registry::challenge::{Challenge, parse};

use crate::broken::{Outcome, holds, never, same};

pub(super) fn run(input: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
    let Ok(challenges) = parse(text) else { return Ok(()) };
    holds(challenges.len() <= 16, "challenges are few")?;
    let written: Vec<String> = challenges.iter().map(written).collect();
    let again = parse(&written.join(", ")).map_err(never("what was read can be read again"))?;
    same(&again, &challenges, "and means the same")?;
    for challenge in &challenges {
        let Challenge::Bearer(bearer) = challenge else { continue };
        let texts = [Some(&bearer.realm), bearer.service.as_ref(), bearer.scope.as_ref()];
        for part in texts.into_iter().flatten() {
            holds(part.len() <= text.len(), "a value is a part of the header")?;
            holds(!part.chars().any(char::is_control), "a value has no control characters")?;
        }
    }
    Ok(())
}

fn written(challenge: &Challenge) -> String {
    let Challenge::Bearer(bearer) = challenge else { return "Basic".to_owned() };
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = format!("Bearer realm=\"{}\"", quoted(&bearer.realm));
    for (name, value) in
        [("service", &bearer.service), ("scope", &bearer.scope), ("error", &bearer.error)]
    {
        if let Some(value) = value {
            text.push_str(&format!(",{name}=\"{}\"", quoted(value)));
        }
    }
    text
}

//! The name of an image and the other things that can be typed for one. What is read is bounded,
//! plain, and the same when what is shown of it is read again.

use lxcri_images::reference::{
    InvalidReference, LONGEST_NAME, LONGEST_TAG, Name, Reference, Source,
};

use crate::broken::{Outcome, holds, never, same};

pub(super) fn run(input: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
    match text.parse::<Source>() {
        Ok(source) => {
            let again = source.to_string().parse::<Source>();
            same(&again.map_err(never("a source is read back"))?, &source, "a source is the same")?;
        }
        Err(error) => message(&error.to_string(), &error.hints())?,
    }
    match text.parse::<Name>() {
        Ok(Name::Short(short)) => {
            same(&short.to_string().as_str(), &text, "a short name is taken as it is")?;
            let on_docker = short.on("docker.io").map_err(never("docker.io takes short names"))?;
            same(&reference(text)?, &on_docker, "a short name is docker.io's by default")
        }
        Ok(Name::Qualified(qualified)) => {
            same(&reference(text)?, &qualified, "a complete name is read in one way")
        }
        Err(error) => refused(text, &error),
    }
}

fn reference(text: &str) -> Result<Reference, crate::Broken> {
    let reference = text.parse::<Reference>().map_err(never("a name is a reference"))?;
    let full = reference.to_string();
    for shown in [&full, &reference.familiar()] {
        let again = shown.parse::<Reference>().map_err(never("what is shown is read"))?;
        same(&again, &reference, "what is shown is the same")?;
    }
    holds(reference.name().len() <= LONGEST_NAME, "a name is bounded")?;
    holds(reference.tag().is_none_or(|tag| tag.len() <= LONGEST_TAG), "a tag is bounded")?;
    holds(full.bytes().all(|byte| byte.is_ascii_graphic()), "a name is plain")?;
    let mut components = reference.repository().split('/');
    let is_step = |component: &str| !component.is_empty() && !component.starts_with('.');
    holds(components.all(is_step), "no component leads anywhere else")?;
    let host = reference.registry();
    holds(!host.contains(['/', '@']), "a registry is a host")?;
    let moved = reference.with_registry(host).map_err(never("its registry is one"))?;
    same(&moved, &reference, "its registry is its registry")?;
    let latest = reference.tagged_or_latest();
    holds(latest.tag().is_some() || latest.digest().is_some(), "something is asked for")?;
    Ok(reference)
}

fn refused(text: &str, error: &InvalidReference) -> Outcome {
    holds(text.parse::<Reference>().is_err(), "no name is no reference")?;
    message(&error.to_string(), &error.hints())
}

fn message(message: &str, hints: &[String]) -> Outcome {
    let lines = std::iter::once(message).chain(hints.iter().map(String::as_str));
    for line in lines {
        holds(!line.chars().any(char::is_control), "an error is one line without controls")?;
        holds(line.len() < 4096, "an error is short")?;
    }
    Ok(())
}

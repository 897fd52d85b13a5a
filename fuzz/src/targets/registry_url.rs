//! An address, and a `Location` that an answer from there names: the first line of the input and the
//! rest. Wherever it leads is one request line, to a host that has a proper name.

use lxcri_images::registry::Url;

use crate::broken::{Outcome, holds, never, same};

pub(super) fn run(input: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
    let (base, location) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(base) = Url::parse(base) else { return Ok(()) };
    sound(&base)?;
    let Ok(next) = base.join(location) else { return Ok(()) };
    sound(&next)?;
    let stays = location.starts_with('/') && !location.starts_with("//");
    holds(!stays || next.same_origin(&base), "a path stays on its host")?;
    let again = base.join(&next.full()).map_err(never("an address leads from anywhere"))?;
    same(&again, &next, "an address leads to itself")
}

fn sound(url: &Url) -> Outcome {
    let full = url.full();
    let again = Url::parse(&full).map_err(never("an address can be read again"))?;
    same(&again, url, "and is the same")?;
    holds(full.bytes().all(|byte| byte.is_ascii_graphic()), "an address is one word")?;
    holds(!full.contains('#'), "an address has no fragment")?;
    holds(!url.to_string().contains('?'), "what is shown has no query")?;
    let host = url.host();
    holds(!host.is_empty() && !host.contains(['/', '@', '?', '%']), "a host is a name")?;
    holds(host != ".." && host != ".", "a host is no directory of others")?;
    holds(url.port() != 0, "a port is a port")
}

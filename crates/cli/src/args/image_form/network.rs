//! `--network`, `--dns` and `--add-host`.

use std::net::IpAddr;

use lxcri_images::spec::Network;

/// `none` or `host`; other networks are not there yet.
pub(super) fn network(text: &str) -> Result<Network, String> {
    match text {
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        _ => Err("only none and host are there; bridges and networks by name come with a later \
                  version"
            .to_owned()),
    }
}

/// The address of a name server.
pub(super) fn server(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is no IP address"))
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`; an IPv6 address may stand in brackets.
pub(super) fn host(text: &str) -> Result<(String, IpAddr), String> {
    let (name, address) =
        text.split_once('=').or_else(|| text.split_once(':')).ok_or("is not NAME:ADDRESS")?;
    let sound = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    if name.is_empty() || name.len() > 253 || !name.chars().all(sound) {
        return Err(format!("{name:?} is no name of a host"));
    }
    if address == "host-gateway" {
        return Err("host-gateway comes with bridges, in a later version".to_owned());
    }
    let plain = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = plain.unwrap_or(address);
    let parsed = address.parse().map_err(|_| format!("{address:?} is no IP address"))?;
    Ok((name.to_owned(), parsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        assert_eq!((network("none"), network("host")), (Ok(Network::None), Ok(Network::Host)));
        for text in ["bridge", "", "container:x", "Host"] {
            assert!(network(text).unwrap_err().contains("later"), "{text}");
        }
    }

    #[test]
    fn hosts() {
        let table = [
            ("db:192.0.2.1", "192.0.2.1"),
            ("db=192.0.2.1", "192.0.2.1"),
            ("db:::1", "::1"),
            ("db:[2001:db8::1]", "2001:db8::1"),
            ("db=2001:db8::1", "2001:db8::1"),
        ];
        for (text, address) in table {
            assert_eq!(host(text), Ok(("db".to_owned(), address.parse().unwrap())), "{text}");
        }
        for text in ["", "db", "db:", ":1.2.3.4", "a b:1.2.3.4", "a\nb:1.2.3.4", "db:1.2.3.4.5"] {
            assert!(host(text).is_err(), "{text:?}");
        }
        assert!(host("db:host-gateway").unwrap_err().contains("later"));
        assert!(server("dns.example.org").is_err() && server("::1").is_ok());
    }
}

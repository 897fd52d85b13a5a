//! Proxies, by the variables that everybody knows.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;

use ureq::{Proxy, ProxyProtocol};

use crate::registry::error::Error;
use crate::registry::url::{Scheme, Url};

/// Which proxy leads to which host. The library's own reading of the variables makes no difference
/// between http and https, and knows no networks in `NO_PROXY`.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For addresses with http.
    pub http: Option<String>,
    /// For addresses with https.
    pub https: Option<String>,
    /// Hosts that are reached without: names (with all that is below them), addresses, networks, each
    /// with or without port, and `*`.
    pub none: Vec<String>,
}

impl Proxies {
    /// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`; in lower case they come first.
    pub(in crate::registry) fn from_environment(
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Self {
        let read = |name: &str| {
            let value = variable(&name.to_ascii_lowercase()).or_else(|| variable(name))?;
            value.into_string().ok()
        };
        let every = read("ALL_PROXY");
        let none = read("NO_PROXY").unwrap_or_default();
        let entries = none.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
        Self {
            http: read("HTTP_PROXY").or_else(|| every.clone()),
            https: read("HTTPS_PROXY").or(every),
            none: entries.map(str::to_ascii_lowercase).collect(),
        }
    }

    /// The proxy on the way to an address. This machine is never reached by one.
    pub(super) fn of(&self, url: &Url) -> Result<Option<Proxy>, Error> {
        let (name, proxy) = match url.scheme() {
            Scheme::Http => ("HTTP_PROXY", &self.http),
            Scheme::Https => ("HTTPS_PROXY", &self.https),
        };
        let Some(proxy) = proxy else { return Ok(None) };
        if url.is_loopback() || self.none.iter().any(|entry| matches(entry, url)) {
            return Ok(None);
        }
        // Of any other kind it would be passed by.
        let speaks =
            |proxy: &Proxy| matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
        let made = Proxy::new(proxy).ok().filter(speaks).map(Some);
        made.ok_or_else(|| Error::Setup {
            what: name.to_owned(),
            problem: "no address of an http or https proxy".to_owned(),
        })
    }
}

/// Whether an entry of `NO_PROXY` means this host.
fn matches(entry: &str, url: &Url) -> bool {
    if entry == "*" {
        return true;
    }
    let host = url.host().trim_start_matches('[').trim_end_matches(']');
    if let Some((network, length)) = entry.split_once('/') {
        return in_network(host, network, length);
    }
    let entry = match entry.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
            if port != url.port().to_string() {
                return false;
            }
            name
        }
        _ => entry,
    };
    let entry = entry.trim_start_matches('[').trim_end_matches(']');
    let entry = entry.trim_start_matches('*').trim_start_matches('.');
    let below = |host: &str| host.strip_suffix(entry).is_some_and(|head| head.ends_with('.'));
    !entry.is_empty() && (host == entry || below(host))
}

fn in_network(host: &str, network: &str, length: &str) -> bool {
    let parsed = (host.parse::<IpAddr>(), network.parse::<IpAddr>(), length.parse::<u32>());
    let (bits, host, network, length): (u32, _, _, _) = match parsed {
        (Ok(IpAddr::V4(host)), Ok(IpAddr::V4(network)), Ok(length)) => {
            (32, u128::from(host.to_bits()), u128::from(network.to_bits()), length)
        }
        (Ok(IpAddr::V6(host)), Ok(IpAddr::V6(network)), Ok(length)) => {
            (128, host.to_bits(), network.to_bits(), length)
        }
        _ => return false,
    };
    let Some(rest) = bits.checked_sub(length) else { return false };
    let cut = |address: u128| address.checked_shr(rest).unwrap_or(0);
    cut(host) == cut(network)
}

impl fmt::Debug for Proxies {
    /// Without the addresses: passwords can stand in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies")
            .field("http", &self.http.is_some())
            .field("https", &self.https.is_some())
            .field("none", &self.none)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_no_proxy() {
        let cases = [
            ("example.org", "https://example.org/", true),
            ("example.org", "https://a.example.org/", true),
            (".example.org", "https://a.example.org/", true),
            ("*.example.org", "https://a.example.org/", true),
            ("example.org", "https://badexample.org/", false),
            ("example.org:5000", "https://example.org:5000/", true),
            ("example.org:5000", "https://example.org/", false),
            ("10.0.0.0/8", "https://10.1.2.3/", true),
            ("10.0.0.0/8", "https://11.1.2.3/", false),
            ("10.0.0.0/33", "https://10.0.0.0/", false),
            ("0.0.0.0/0", "https://11.1.2.3/", true),
            ("fd00::/8", "https://[fd12::1]/", true),
            ("::/0", "https://[fd12::1]/", true),
            ("fd00::1", "https://[fd00::1]/", true),
            ("10.1.2.3", "https://10.1.2.3:5000/", true),
            ("*", "https://x/", true),
            ("", "https://x/", false),
        ];
        for (entry, url, yes) in cases {
            assert_eq!(matches(entry, &Url::parse(url).unwrap()), yes, "{entry} {url}");
        }
    }

    #[test]
    fn one_for_each_scheme() {
        let variables = [
            ("HTTP_PROXY", "http://a:1"),
            ("https_proxy", "http://u:secret@b:2"),
            ("NO_PROXY", "x.example, 10.0.0.0/8"),
        ];
        let proxies = Proxies::from_environment(&|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        });
        let port =
            |url: &str| proxies.of(&Url::parse(url).unwrap()).unwrap().map(|proxy| proxy.port());
        assert_eq!(port("http://r.example/"), Some(1));
        assert_eq!(port("https://r.example/"), Some(2));
        assert_eq!(port("https://x.example/"), None);
        assert_eq!(port("https://10.2.3.4/"), None);
        assert_eq!(port("https://127.0.0.1:5000/"), None);
        assert!(!format!("{proxies:?}").contains("secret"));
        for text in ["so cks://", "socks5://127.0.0.1:1", "ftp://a"] {
            let broken = Proxies { https: Some(text.to_owned()), ..Proxies::default() };
            assert!(broken.of(&Url::parse("https://r.example/").unwrap()).is_err(), "{text}");
        }
    }
}

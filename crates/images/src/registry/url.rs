//! Addresses: of registries, token services, and wherever they send us.

use std::fmt;
use std::net::Ipv6Addr;

/// The longest address that is taken, in bytes. Signed addresses of object stores have some 2,000.
const LONGEST: usize = 8 * 1024;

/// The longest path with its query, escaped: with scheme and host it is still an address that is taken.
const LONGEST_TARGET: usize = 7 * 1024;

/// How a host is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// An http or https address without user, password and fragment. What it shows is its part before
/// the query: queries of object stores are as good as a password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Url {
    scheme: Scheme,
    host: String,
    port: u16,
    target: String,
}

impl Url {
    /// Parses an absolute address (RFC 3986). Bytes that may not stand in a path are escaped.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > LONGEST {
            return Err("it is longer than 8 KiB");
        }
        let (scheme, rest) = text.split_once("://").ok_or("it is no http or https address")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err("it is no http or https address"),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        Self::of_authority(scheme, authority, target)
    }

    /// The root of a host, `host[:port]`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_host(scheme: Scheme, authority: &str) -> Result<Self, &'static str> {
        Self::of_authority(scheme, authority, "/")
    }

    fn of_authority(scheme: Scheme, authority: &str, target: &str) -> Result<Self, &'static str> {
        if authority.contains('@') {
            return Err("it has a user name in it");
        }
        let (host, port) = match authority.rfind(':') {
            Some(colon) if !authority[colon..].contains(']') => {
                (&authority[..colon], Some(&authority[colon + 1..]))
            }
            _ => (authority, None),
        };
        let port = match port {
            None => scheme.port(),
            Some(text) => port_number(text)?,
        };
        check_host(host)?;
        let host = host.to_ascii_lowercase();
        Ok(Self { scheme, host, port, target: escaped(target)? })
    }

    /// Where a `Location` of this address leads (RFC 3986 section 5, without dot segments, which are
    /// left to the server).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn join(&self, location: &str) -> Result<Self, &'static str> {
        if location.len() > LONGEST {
            return Err("it is longer than 8 KiB");
        }
        let head = location.split(['/', '?', '#']).next().unwrap_or_default();
        if head.ends_with(':') && location[head.len()..].starts_with("//") {
            return Self::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.scheme.name()));
        }
        if head.contains(':') {
            return Err("it is no http or https address");
        }
        let path = self.target.split('?').next().unwrap_or_default();
        let target = match location.chars().next() {
            None | Some('#') => self.target.clone(),
            Some('/') => location.to_owned(),
            Some('?') => format!("{path}{location}"),
            Some(_) => format!("{}/{location}", path.rsplit_once('/').map_or("", |(dir, _)| dir)),
        };
        Ok(Self { target: escaped(&target)?, ..self.clone() })
    }

    /// The same host with another path and query.
    ///
    /// # Errors
    /// What is wrong with the path.
    pub(super) fn at(&self, target: &str) -> Result<Self, &'static str> {
        Ok(Self { target: escaped(target)?, ..self.clone() })
    }

    /// The same with a further query parameter, both parts escaped.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(&form(name));
        self.target.push('=');
        self.target.push_str(&form(value));
        self
    }

    /// How it is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host in lower case, an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host, and the port where it is not the scheme's own.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.port() {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether scheme, host and port are the same.
    pub fn same_origin(&self, other: &Self) -> bool {
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
    }

    /// The whole address. Not for people: it can hold secrets.
    pub fn full(&self) -> String {
        format!("{}://{}{}", self.scheme.name(), self.authority(), self.target)
    }

    /// Whether the host is this machine by its name or address.
    pub(super) fn is_loopback(&self) -> bool {
        let address = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host == "localhost"
            || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{}://{}{path}", self.scheme.name(), self.authority())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn port_number(text: &str) -> Result<u16, &'static str> {
    let digits = text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = if digits { text.parse().ok() } else { None };
    port.filter(|port| *port != 0).ok_or("its port is no number from 1 to 65535")
}

fn check_host(host: &str) -> Result<(), &'static str> {
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        return address.map(|_| ()).ok_or("its host is no IPv6 address");
    }
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if host.is_empty() || host.len() > 253 || !host.bytes().all(known) {
        return Err("its host is no name or address");
    }
    // "..": it becomes a directory's name below certs.d.
    if host.starts_with('.') || host.contains("..") {
        return Err("its host has an empty label");
    }
    Ok(())
}

/// A path with its query, begun with a slash and without fragment. Controls and spaces are refused:
/// they have no place in a request line.
fn escaped(target: &str) -> Result<String, &'static str> {
    let target = target.split('#').next().unwrap_or_default();
    let mut text = String::with_capacity(target.len() + 1);
    if !target.starts_with('/') {
        text.push('/');
    }
    for byte in target.bytes() {
        match byte {
            0..=b' ' | 0x7f => return Err("it has control characters or spaces in it"),
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => {
                push_escape(&mut text, byte);
            }
            _ => text.push(char::from(byte)),
        }
    }
    if text.len() > LONGEST_TARGET {
        return Err("its path is longer than 7 KiB");
    }
    Ok(text)
}

/// A value of a query or form: all but the unreserved characters (RFC 3986 section 2.3) is escaped.
pub(super) fn form(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => push_escape(&mut text, byte),
        }
    }
    text
}

fn push_escape(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses() {
        let cases = [
            ("https://a.example/x?y=z#f", "https://a.example/x?y=z"),
            ("HTTPS://A.example:443", "https://a.example/"),
            ("http://a:5000?n=1", "http://a:5000/?n=1"),
            ("http://[::1]:80/ä\"", "http://[::1]/%C3%A4%22"),
        ];
        for (text, full) in cases {
            assert_eq!(Url::parse(text).unwrap().full(), full);
        }
        for text in [
            "",
            "a",
            "/x",
            "file:///etc/passwd",
            "ftp://a/",
            "http://",
            "http:///x",
            "http://u@a/",
            "http://u:p@a/",
            "http://a:0/",
            "http://a:65536/",
            "http://a:+1/",
            "http://a:/",
            "http://a b/",
            "http://a/ b",
            "http://a/\r\nX: y",
            "http://../x",
            "http://[::g]/",
            "http://[::1",
            "http://a%00/",
            "javascript:alert(1)",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
        assert!(Url::parse(&format!("http://a/{}", "x".repeat(9000))).is_err());
    }

    #[test]
    fn joins() {
        let base = Url::parse("https://a/v2/b/blobs?q=1").unwrap();
        let cases = [
            ("https://c/d", "https://c/d"),
            ("http://c:1/d?e", "http://c:1/d?e"),
            ("//c/d", "https://c/d"),
            ("/x?y", "https://a/x?y"),
            ("?y", "https://a/v2/b/blobs?y"),
            ("x", "https://a/v2/b/x"),
            ("", "https://a/v2/b/blobs?q=1"),
            ("/x/http://y", "https://a/x/http://y"),
        ];
        for (location, full) in cases {
            assert_eq!(base.join(location).unwrap().full(), full, "{location}");
        }
        for location in ["file:///etc/passwd", "data:text/plain,x", "http://u@b/", "/a\nb"] {
            assert!(base.join(location).is_err(), "{location}");
        }
    }

    #[test]
    fn shows_no_query() {
        let url = Url::parse("https://a/b?signature=secret").unwrap();
        assert_eq!(format!("{url} {url:?}"), "https://a/b https://a/b");
    }

    #[test]
    fn knows_loopback() {
        for (host, yes) in [
            ("localhost:5000", true),
            ("127.0.0.1", true),
            ("127.9.9.9:1", true),
            ("[::1]:5", true),
            ("localhost.example", false),
            ("10.0.0.1", false),
            ("127.0.0.1.example", false),
        ] {
            assert_eq!(Url::of_host(Scheme::Http, host).unwrap().is_loopback(), yes, "{host}");
        }
    }

    #[test]
    fn adds_parameters() {
        let url = Url::parse("https://a/t?x=1").unwrap().with("scope", "repository:a/b:pull&x");
        assert_eq!(url.full(), "https://a/t?x=1&scope=repository%3Aa%2Fb%3Apull%26x");
    }
}

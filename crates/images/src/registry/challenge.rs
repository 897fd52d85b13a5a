//! The `WWW-Authenticate` header of an answer 401 (RFC 9110 section 11.6.1, RFC 6750 section 3, and
//! the distribution project's token specification).

/// The longest header that is read, in bytes.
const LONGEST: usize = 8 * 1024;

/// The most challenges in one header, and the most parameters in one challenge.
const MOST: usize = 16;

/// One way to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// With a token that a service hands out.
    Bearer(Bearer),
    /// With name and password.
    Basic,
}

/// Where tokens come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bearer {
    /// The service's address, as it came: unchecked.
    pub realm: String,
    /// What the service knows the registry by.
    pub service: Option<String>,
    /// What the token has to allow.
    pub scope: Option<String>,
    /// Why the token that was sent did not do.
    pub error: Option<String>,
}

/// Parses one header. Schemes that no registry speaks (Negotiate, Digest, …) are passed over.
///
/// # Errors
/// What is wrong with it.
pub fn parse(header: &str) -> Result<Vec<Challenge>, &'static str> {
    if header.len() > LONGEST {
        return Err("it is longer than 8 KiB");
    }
    let mut cursor = Cursor { rest: header };
    let mut challenges = Vec::new();
    for _ in 0..MOST {
        cursor.skip_separators();
        if cursor.rest.is_empty() {
            return Ok(challenges);
        }
        let scheme = cursor.token().ok_or("no scheme where one belongs")?;
        let parameters = cursor.parameters()?;
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => challenges.push(Challenge::Bearer(bearer(parameters)?)),
            "basic" => challenges.push(Challenge::Basic),
            _ => {}
        }
    }
    Err("it has more than 16 challenges")
}

fn bearer(parameters: Vec<(String, String)>) -> Result<Bearer, &'static str> {
    let mut bearer = Bearer::default();
    let mut realm = None;
    for (name, value) in parameters {
        let place = match name.as_str() {
            "realm" => &mut realm,
            "service" => &mut bearer.service,
            "scope" => &mut bearer.scope,
            "error" => &mut bearer.error,
            _ => continue,
        };
        // Two readers could take different ones.
        if place.replace(value).is_some() {
            return Err("a parameter stands there twice");
        }
    }
    bearer.realm = realm.ok_or("it names no realm")?;
    Ok(bearer)
}

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn skip_separators(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// A token (RFC 9110 section 5.6.2); none where there is none.
    fn token(&mut self) -> Option<&'a str> {
        let length = self.rest.bytes().take_while(|byte| is_token(*byte)).count();
        (length > 0).then(|| self.take(length))
    }

    /// Everything up to the next challenge, names in lower case.
    fn parameters(&mut self) -> Result<Vec<(String, String)>, &'static str> {
        self.skip_blanks();
        if self.skip_token68() {
            return Ok(Vec::new());
        }
        let mut parameters = Vec::new();
        loop {
            let before = self.rest;
            let Some(name) = self.token() else { break };
            self.skip_blanks();
            if !self.rest.starts_with('=') {
                // No parameter, but the scheme of the next challenge.
                self.rest = before;
                break;
            }
            self.take(1);
            self.skip_blanks();
            let value = self.value()?;
            if parameters.len() == MOST {
                return Err("a challenge has more than 16 parameters");
            }
            parameters.push((name.to_ascii_lowercase(), value));
            self.skip_blanks();
            if !self.rest.is_empty() && !self.rest.starts_with(',') {
                return Err("no comma after a parameter");
            }
            self.skip_separators();
        }
        Ok(parameters)
    }

    /// Passes over what `Negotiate` and others send in place of parameters (RFC 9110 section 11.2).
    fn skip_token68(&mut self) -> bool {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        let length = self.rest.bytes().take_while(|byte| is_part(*byte)).count();
        let tail = self.rest[length..].trim_start_matches('=').trim_start_matches([' ', '\t']);
        let whole = length > 0 && (tail.is_empty() || tail.starts_with(','));
        if whole {
            self.rest = tail;
        }
        whole
    }

    fn value(&mut self) -> Result<String, &'static str> {
        if !self.rest.starts_with('"') {
            return self.token().map(str::to_owned).ok_or("a parameter has no value");
        }
        self.take(1);
        let mut value = String::new();
        let mut letters = self.rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            let letter = match letter {
                '"' => {
                    self.take(at + 1);
                    return Ok(value);
                }
                '\\' => letters.next().ok_or("a quoted text does not end")?.1,
                letter => letter,
            };
            if letter.is_control() {
                return Err("it has control characters in it");
            }
            value.push(letter);
        }
        Err("a quoted text does not end")
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer(Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
            error: None,
        })
    }

    #[test]
    fn reads_what_registries_send() {
        let hub = "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",\
                   scope=\"repository:library/nginx:pull,push\"";
        let service = Some("registry.docker.io");
        let scope = Some("repository:library/nginx:pull,push");
        let expected = bearer("https://auth.docker.io/token", service, scope);
        assert_eq!(parse(hub).unwrap(), [expected]);
        let cases: [(&str, Vec<Challenge>); 9] = [
            ("", vec![]),
            ("Basic realm=\"x\"", vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            ("BEARER Realm = \"r\" , Service=s", vec![bearer("r", Some("s"), None)]),
            ("Bearer realm=\"a\\\"b\\\\\"", vec![bearer("a\"b\\", None, None)]),
            ("Negotiate, Basic realm=x", vec![Challenge::Basic]),
            ("Negotiate TlRM/+aa==, Basic realm=x", vec![Challenge::Basic]),
            ("Basic realm=x, Bearer realm=y", vec![Challenge::Basic, bearer("y", None, None)]),
            ("Bearer realm=y, Basic", vec![bearer("y", None, None), Challenge::Basic]),
        ];
        for (header, expected) in cases {
            assert_eq!(parse(header).unwrap(), expected, "{header}");
        }
    }

    #[test]
    fn refuses() {
        let many = "Basic,".repeat(20);
        let parameters = format!("Bearer realm=x{}", ",a=b".repeat(20));
        let long = format!("Bearer realm=\"{}\"", "x".repeat(9000));
        for header in [
            "Bearer",
            "Bearer service=x",
            "Bearer realm=",
            "Bearer realm=\"x",
            "Bearer realm=\"x\\",
            "Bearer realm=x realm=y",
            "Bearer realm=x,realm=y",
            "Bearer realm=\"a\u{1b}b\"",
            "=",
            "\"x\"",
            &many,
            &parameters,
            &long,
        ] {
            assert!(parse(header).is_err(), "{header}");
        }
    }
}

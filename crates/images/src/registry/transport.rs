//! One HTTP request at a time: connections, TLS and proxies, and what their failures mean.

mod proxy;
mod tls;

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ureq::http::{HeaderName, HeaderValue, Method, Request, Response};
use ureq::{Agent, Body, SendBody};

pub use proxy::Proxies;

use super::error::{Error, told};
use super::settings::Settings;
use super::url::{Scheme, Url};

/// The most bytes of an answer's head.
const MAX_HEAD: usize = 64 * 1024;

/// The most hosts whose connections are kept; redirects can lead to any number of them.
const MAX_HOSTS: usize = 64;

/// Idle connections to one host: as many as layers are pulled at once, and some.
const IDLE_PER_HOST: usize = 16;

/// How sure we are of whom we speak to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Trust {
    /// TLS, and a CA that we know vouches for the name.
    Verified,
    /// TLS with anybody.
    Unverified,
    /// No TLS.
    Plain,
}

/// What is sent along.
pub(super) enum Payload<'a> {
    /// Nothing, as with GET and HEAD.
    Nothing,
    /// These bytes; none at all are a body, too.
    Bytes(&'a [u8]),
    /// So many bytes of a reader.
    Reader(&'a mut dyn Read, u64),
}

/// How long a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The time of a document for all of it, the answer's body as well.
    Document,
    /// As long as bytes come.
    Stream,
    /// As long as bytes go; the answer may take its time: object stores copy a whole blob then.
    Commit,
}

/// How many times as long as a document a registry may take to keep a blob.
const COMMIT: u32 = 10;

/// One request, complete.
pub(super) struct Outgoing<'a> {
    pub(super) method: Method,
    pub(super) url: &'a Url,
    pub(super) trust: Trust,
    pub(super) headers: &'a [(HeaderName, String)],
    /// The value of `Authorization`.
    pub(super) authorization: Option<&'a str>,
    pub(super) payload: Payload<'a>,
    pub(super) wait: Wait,
    /// What is asked for, for messages.
    pub(super) what: &'a str,
}

type Origin = (Scheme, String, u16, Trust);

/// Keeps connections.
pub(super) struct Transport {
    roots: tls::Trusted,
    settings: Arc<Settings>,
    agents: Mutex<HashMap<Origin, Agent>>,
}

impl Transport {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        let roots = tls::Trusted::new(Arc::clone(&settings));
        Self { roots, settings, agents: Mutex::default() }
    }

    /// Sends a request and returns the answer with its body unread. Statuses are no errors here, and
    /// redirects are not followed.
    pub(super) fn send(&self, outgoing: Outgoing<'_>) -> Result<Response<Body>, Error> {
        let agent = self.agent(outgoing.url, outgoing.trust)?;
        let (host, what, wait) = (outgoing.url.authority(), outgoing.what, outgoing.wait);
        let document = self.settings.timeouts.document;
        let (head, payload) = head_of(outgoing)?;
        // An error of our own reader would otherwise look like one of the connection.
        let mut failed = None;
        let answer = match payload {
            Payload::Nothing => run(&agent, head.body(()), wait, document),
            Payload::Bytes(bytes) => run(&agent, head.body(bytes), wait, document),
            Payload::Reader(reader, left) => {
                let mut reader = Watched { reader, left, failed: &mut failed };
                run(&agent, head.body(SendBody::from_reader(&mut reader)), wait, document)
            }
        };
        if let Some(source) = failed {
            return Err(Error::Source { what: what.to_owned(), source });
        }
        answer.map_err(|error| explain(error, &host, what))
    }

    fn agent(&self, url: &Url, trust: Trust) -> Result<Agent, Error> {
        let origin = (url.scheme(), url.host().to_owned(), url.port(), trust);
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&origin) {
            return Ok(agent.clone());
        }
        if agents.len() >= MAX_HOSTS {
            agents.clear();
        }
        let agent = self.new_agent(url, trust)?;
        agents.insert(origin, agent.clone());
        Ok(agent)
    }

    fn new_agent(&self, url: &Url, trust: Trust) -> Result<Agent, Error> {
        let Settings { timeouts, user_agent, proxies, .. } = &*self.settings;
        let proxy = proxies.of(url)?;
        let proxy_speaks_tls =
            proxy.as_ref().is_some_and(|proxy| proxy.protocol() == ureq::ProxyProtocol::Https);
        let mut builder = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(proxy)
            .user_agent(plain(user_agent))
            .accept_encoding("identity")
            .max_response_header_size(MAX_HEAD)
            .max_idle_connections(2 * IDLE_PER_HOST)
            .max_idle_connections_per_host(IDLE_PER_HOST)
            .timeout_resolve(Some(timeouts.connect))
            .timeout_connect(Some(timeouts.connect))
            .timeout_recv_response(Some(timeouts.document))
            .timeout_per_read(Some(timeouts.stall))
            .timeout_per_write(Some(timeouts.stall));
        if url.scheme() == Scheme::Https || proxy_speaks_tls {
            builder = builder.tls_config(self.roots.config(url, trust)?);
        }
        Ok(builder.build().new_agent())
    }
}

/// What a header takes; the library takes that for granted.
fn plain(text: &str) -> String {
    text.chars().filter(|letter| letter.is_ascii_graphic() || *letter == ' ').collect()
}

fn run<S: ureq::AsSendBody>(
    agent: &Agent,
    request: Result<Request<S>, ureq::http::Error>,
    wait: Wait,
    document: Duration,
) -> Result<Response<Body>, ureq::Error> {
    let request = request?;
    let long = Some(document.saturating_mul(COMMIT));
    let request = match wait {
        Wait::Stream => return agent.run(request),
        Wait::Document => agent.configure_request(request).timeout_global(Some(document)).build(),
        Wait::Commit => agent
            .configure_request(request)
            .timeout_per_read(long)
            .timeout_recv_response(long)
            .build(),
    };
    agent.run(request)
}

/// The request's head, and what is left for its body.
fn head_of(outgoing: Outgoing<'_>) -> Result<(ureq::http::request::Builder, Payload<'_>), Error> {
    let mut head = Request::builder().method(outgoing.method).uri(outgoing.url.full());
    for (name, value) in outgoing.headers {
        head = head.header(name, value);
    }
    if let Some(value) = outgoing.authorization {
        let host = outgoing.url.authority();
        let mut value = HeaderValue::from_str(value).map_err(|_| Error::Challenge {
            host,
            problem: "credentials with characters that no header takes".to_owned(),
        })?;
        value.set_sensitive(true);
        head = head.header("authorization", value);
    }
    if let Payload::Reader(_, length) = &outgoing.payload {
        head = head.header("content-length", *length);
    }
    Ok((head, outgoing.payload))
}

/// So many bytes of a reader: one that ends early is an error here, where the library would wait for
/// the rest for ever. The error that a reader ended with is kept.
struct Watched<'a> {
    reader: &'a mut dyn Read,
    left: u64,
    failed: &'a mut Option<io::Error>,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = loop {
            match self.reader.read(&mut buffer[..room]) {
                // A signal is no end.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) if room > 0 => {
                    break Err(io::Error::other(format!("it ends {} bytes early", self.left)));
                }
                read => break read,
            }
        };
        match read {
            Ok(length) => {
                self.left -= u64::try_from(length).unwrap_or(self.left).min(self.left);
                Ok(length)
            }
            Err(error) => {
                *self.failed = Some(error);
                Err(io::Error::other("cannot read what is to be sent"))
            }
        }
    }
}

/// What a failure below HTTP means.
pub(super) fn explain(error: ureq::Error, host: &str, what: &str) -> Error {
    let (host, what) = (host.to_owned(), what.to_owned());
    match error {
        ureq::Error::Rustls(error) => tls::explain(&error, host, what),
        ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
            Error::Connect { host, problem: "it takes too long".to_owned() }
        }
        ureq::Error::Timeout(timeout) => {
            Error::Stalled { what, host, problem: format!("timeout ({timeout})") }
        }
        ureq::Error::HostNotFound => Error::Connect { host, problem: "no such host".to_owned() },
        ureq::Error::ConnectionFailed => {
            Error::Connect { host, problem: "no connection".to_owned() }
        }
        ureq::Error::ConnectProxyFailed(problem) => {
            Error::Connect { host, problem: format!("through the proxy: {}", told(&problem)) }
        }
        ureq::Error::Io(error) => explain_io(&error, host, what),
        error => Error::Nonsense { what, host, problem: told(&error.to_string()) },
    }
}

fn explain_io(error: &io::Error, host: String, what: String) -> Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(inner) = inner {
        return tls::explain(inner, host, what);
    }
    let problem = told(&error.to_string());
    match error.kind() {
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::NotFound
        | io::ErrorKind::PermissionDenied => Error::Connect { host, problem },
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            Error::Stalled { what, host, problem }
        }
        // The resolver's errors have no kind.
        _ if problem.contains("lookup address") => Error::Connect { host, problem },
        _ => Error::Broken { what, problem },
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

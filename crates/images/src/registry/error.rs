//! What can go wrong between a registry and us.

use lxcri_core::logging::printable;

use super::credentials::CredentialsError;
use crate::digest::Digest;

/// A request that did not do. Texts of servers in it are short and harmless for a terminal; there are
/// no secrets in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that is none; nothing was asked for.
    #[error("{what} {text:?}: {problem}")]
    Invalid {
        /// What it should be.
        what: &'static str,
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The host was not reached.
    #[error("cannot connect to {host}: {problem}")]
    Connect {
        /// The host.
        host: String,
        /// Why not.
        problem: String,
    },
    /// The host is not who it should be, or nobody we know vouches for it.
    #[error("cannot trust {host}: {problem}")]
    Certificate {
        /// The host.
        host: String,
        /// What is wrong with its certificate.
        problem: String,
    },
    /// Our own part of TLS or of a proxy is not usable.
    #[error("{what}: {problem}")]
    Setup {
        /// A path, or a variable.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The connection ended in the middle.
    #[error("{what}: the connection broke: {problem}")]
    Broken {
        /// What was asked for.
        what: String,
        /// How.
        problem: String,
    },
    /// Nothing came for too long, or everything took too long.
    #[error("{what}: {host} stalls: {problem}")]
    Stalled {
        /// What was asked for.
        what: String,
        /// The host.
        host: String,
        /// What took too long.
        problem: String,
    },
    /// The answer is no proper HTTP.
    #[error("{what}: {host} answers nonsense: {problem}")]
    Nonsense {
        /// What was asked for.
        what: String,
        /// The host.
        host: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An answer that is a failure.
    #[error("{what}: the registry answers {status}{message}")]
    Status {
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What the registry says of it, after ": ", or nothing.
        message: String,
    },
    /// It is not there.
    #[error("{what}: not found{message}")]
    NotFound {
        /// What was asked for.
        what: String,
        /// What the registry says of it, after ": ", or nothing.
        message: String,
    },
    /// We may not.
    #[error("{what}: {host} denies access{message}")]
    Denied {
        /// What was asked for.
        what: String,
        /// The host.
        host: String,
        /// What the registry says of it, after ": ", or nothing.
        message: String,
        /// Whether credentials were sent.
        known: bool,
    },
    /// It does not say how to be let in, or in a way that we do not speak.
    #[error("{host} asks for credentials in a way that is not understood: {problem}")]
    Challenge {
        /// The host.
        host: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It asks for credentials that are not its own.
    #[error("{host} sends us for a token to {realm}: {problem}")]
    Realm {
        /// The host.
        host: String,
        /// Where it sends us.
        realm: String,
        /// Why we do not go there.
        problem: &'static str,
    },
    /// A web server, but no registry.
    #[error("{host} answers {answer}: not a registry")]
    NotARegistry {
        /// The host.
        host: String,
        /// The type of its answer.
        answer: String,
    },
    /// A document that is larger than documents are.
    #[error("{what}: larger than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        what: String,
        /// The most bytes.
        limit: u64,
    },
    /// Not the bytes that were asked for.
    #[error("{what}: the registry answers with other content: {found}")]
    Digest {
        /// What was asked for, with the digest that it should have.
        what: String,
        /// The digest of what came, or that the registry tells.
        found: Digest,
    },
    /// A length or a range that contradicts what is known of a blob.
    #[error("{what}: {problem}")]
    Length {
        /// What was asked for.
        what: String,
        /// What contradicts what.
        problem: String,
    },
    /// Sent to where we do not go.
    #[error("{what}: refused to follow a redirect: {problem}")]
    Redirect {
        /// What was asked for.
        what: String,
        /// Why not.
        problem: String,
    },
    /// The registry wants to be left alone for longer than we wait.
    #[error("{host} asks to be left alone for {seconds} s")]
    Throttled {
        /// The host.
        host: String,
        /// How long.
        seconds: u64,
    },
    /// A document that says what it should not.
    #[error("{what}: {problem}")]
    Document {
        /// Which.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// What is to be pushed cannot be read.
    #[error("{what}: cannot read what is to be pushed: {source}")]
    Source {
        /// What was to be pushed.
        what: String,
        /// What the reader says.
        source: std::io::Error,
    },
    /// A file with credentials, or a credential helper.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

impl Error {
    /// What the user can do.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Denied { host, known: false, .. } => {
                vec![format!("`proxmox-lxcri login {host}` stores a name and password for it")]
            }
            Self::Denied { host, known: true, .. } => vec![format!(
                "the stored name and password were sent; `proxmox-lxcri login {host}` replaces them"
            )],
            Self::Certificate { host, .. } => {
                vec![format!("a CA of your own goes to /etc/containers/certs.d/{host}/ca.crt")]
            }
            Self::Realm { host, .. } => {
                vec![format!("credentials for {host} were not sent anywhere")]
            }
            Self::NotARegistry { .. } => {
                vec!["check the name of the registry, and the proxy if there is one".to_owned()]
            }
            Self::Throttled { .. } => {
                vec!["registries let those who are logged in do more".to_owned()]
            }
            Self::Credentials(error) => error.hints(),
            _ => Vec::new(),
        }
    }

    /// Whether the same request may do a moment later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Broken { .. } | Self::Stalled { .. } => true,
            // Not 429 and 503: for those a request has waited already.
            Self::Status { status, .. } => matches!(status, 408 | 500 | 502 | 504),
            _ => false,
        }
    }
}

/// Text of a server for an error: harmless, and at most 200 characters.
pub(super) fn told(text: &str) -> String {
    let short: String = text.trim().chars().take(200).collect();
    printable(&short).into_owned()
}

//! The client of the distribution API (distribution-spec 1.1): manifests and blobs, there and back.
//!
//! ```text
//! settings     what a client goes by: files, proxies, timeouts
//! repository   what is asked for
//! endpoint     how a registry is reached: TLS, or without where that is allowed
//! exchange     one request with everything that can come of it: 401, redirects, 429
//! challenge    what a registry asks for; token: how it is answered, and by whom
//! credentials  auth.json, config.json, helpers
//! transport    connections, CAs, client certificates, proxies
//! manifest, blob, push, tags, login: what people want
//! ```
//!
//! # Who gets credentials
//!
//! A registry is asked without them. They are sent only after an answer 401 of the registry itself,
//! which is the host, port and scheme of the reference or of the mirror that was configured: no host
//! that a redirect led to is ever answered, and addresses inside of manifests (`urls`) are never
//! fetched from (CVE-2020-15157). `Basic` sends them to that registry. `Bearer` names a token service,
//! its realm:
//!
//! - It is an https address; plain http only where the registry itself is reached without verified
//!   TLS, and only on the registry's own host.
//! - A realm on another host is usual (Docker Hub, GitLab), and gets the credentials, as with Docker and
//!   Podman, only where the registry's certificate was verified: then it is the registry, and nobody
//!   in between, who says so. Otherwise the credentials stay here and the request fails.
//! - The token goes to the registry alone, like the credentials: never across a redirect to another
//!   host.

mod blob;
pub mod challenge;
pub mod credentials;
mod endpoint;
mod error;
mod exchange;
mod login;
mod manifest;
mod push;
mod redirect;
mod repository;
mod settings;
mod tags;
mod token;
mod transport;
mod url;

use std::sync::Arc;

pub use blob::{BlobError, Piece};
pub use error::Error;
pub use login::Login;
pub use manifest::{Fetched, Found};
pub use push::Pushed;
pub use repository::Repository;
pub use settings::{Retry, Roots, Settings, Timeouts};
pub use transport::Proxies;
pub use url::{Scheme, Url};

use endpoint::Endpoints;
use token::Tokens;
use transport::Transport;

/// Speaks to registries. One client serves any number of threads and registries at once; it keeps
/// connections and tokens, and nothing on disk.
#[derive(Debug)]
pub struct Client {
    settings: Arc<Settings>,
    transport: Transport,
    endpoints: Endpoints,
    tokens: Tokens,
}

impl Client {
    /// A client that goes by `settings`. Nothing is read and nobody asked yet.
    pub fn new(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        Self {
            transport: Transport::new(Arc::clone(&settings)),
            endpoints: Endpoints::default(),
            tokens: Tokens::default(),
            settings,
        }
    }
}

#[cfg(test)]
mod scripted;
#[cfg(test)]
mod tests;

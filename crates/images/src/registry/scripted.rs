//! A server that answers as a test says, to the byte.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A request that came in.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Where an answer is written.
pub(super) struct Reply<'a> {
    stream: &'a mut dyn Stream,
    /// Whether the connection lives on.
    open: bool,
}

impl Reply<'_> {
    /// These bytes and nothing else.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        let _sent = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
    }

    /// A whole answer; `headers` are lines with `\r\n`.
    pub(super) fn answer(&mut self, status: u16, headers: &str, body: &[u8]) {
        self.raw(head(status, headers, body.len()).as_bytes());
        self.raw(body);
    }

    /// Closes the connection after this.
    pub(super) fn close(&mut self) {
        self.open = false;
    }

    /// Says nothing until the client has had enough.
    pub(super) fn stall(&mut self) {
        let _gone = io::copy(&mut self.stream, &mut io::sink());
        self.open = false;
    }
}

pub(super) fn head(status: u16, headers: &str, length: usize) -> String {
    format!("HTTP/1.1 {status} Status\r\n{headers}Content-Length: {length}\r\n\r\n")
}

type Script = dyn Fn(&Seen, &mut Reply<'_>) + Send + Sync;

/// A server that runs until it is dropped.
pub(super) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    done: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// On 127.0.0.1, without TLS. Whoever speaks TLS finds the connection closed.
    pub(super) fn start(script: impl Fn(&Seen, &mut Reply<'_>) + Send + Sync + 'static) -> Self {
        Self::on("127.0.0.1:0", None, Arc::new(script))
    }

    /// On another address of this machine: another host.
    pub(super) fn elsewhere(
        script: impl Fn(&Seen, &mut Reply<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self::on("127.0.0.2:0", None, Arc::new(script))
    }

    /// With TLS.
    pub(super) fn with_tls(
        address: &str,
        (certificate, key): &(std::path::PathBuf, std::path::PathBuf),
        script: impl Fn(&Seen, &mut Reply<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self::on(address, Some(tls(certificate, key)), Arc::new(script))
    }

    fn on(address: &str, tls: Option<Arc<ServerConfig>>, script: Arc<Script>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, done) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, end) = (Arc::clone(&seen), Arc::clone(&done));
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                let (Ok(stream), script, log, tls) =
                    (stream, Arc::clone(&script), Arc::clone(&log), tls.clone())
                else {
                    return;
                };
                std::thread::spawn(move || serve(stream, tls, &*script, &log));
            }
        });
        Self { address, seen, connections, done, thread: Some(thread) }
    }

    /// `127.0.0.1:PORT`.
    pub(super) fn host(&self) -> String {
        self.address.to_string()
    }

    /// How many connections there were.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Every request so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// `METHOD target` of every request so far but those that only look whether somebody is there.
    pub(super) fn targets(&self) -> Vec<String> {
        let seen = self.seen().into_iter().filter(|seen| seen.target != "/v2/");
        seen.map(|seen| format!("{} {}", seen.method, seen.target)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        let _woken = TcpStream::connect(self.address);
        let _ended = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn serve(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    script: &Script,
    log: &Mutex<Vec<Seen>>,
) {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    match tls {
        Some(config) => {
            let connection = ServerConnection::new(config).unwrap();
            let _end = talk(&mut StreamOwned::new(connection, stream), script, log);
        }
        None => {
            let mut first = [0];
            let is_tls =
                stream.peek(&mut first).is_ok_and(|length| length == 0 || first[0] == 0x16);
            if !is_tls {
                let mut stream = stream;
                let _end = talk(&mut stream, script, log);
            }
        }
    }
}

fn talk(stream: &mut dyn Stream, script: &Script, log: &Mutex<Vec<Seen>>) -> io::Result<()> {
    let mut open = true;
    while open {
        // One byte at a time from the stream: what follows the request stays in it.
        let seen = read_request(&mut BufReader::with_capacity(1, &mut *stream))?;
        log.lock().unwrap().push(seen.clone());
        let mut reply = Reply { stream, open: true };
        script(&seen, &mut reply);
        open = reply.open;
    }
    Ok(())
}

fn read_request(reader: &mut dyn BufRead) -> io::Result<Seen> {
    let mut line = || {
        let mut text = String::new();
        reader.read_line(&mut text)?;
        if text.is_empty() {
            Err(io::ErrorKind::UnexpectedEof)
        } else {
            Ok(text.trim_end().to_owned())
        }
        .map_err(io::Error::from)
    };
    let first = line()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    loop {
        let text = line()?;
        let Some((name, value)) = text.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    reader.read_exact(&mut body)?;
    Ok(Seen { method, target, headers, body })
}

fn tls(certificate: &Path, key: &Path) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
}

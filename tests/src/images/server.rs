//! Two servers on loopback: one that is a registry as far as a test lets it, and one that stands before
//! a registry, counts, and can hold everything up.

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use lxcri_testkit::Image;
use lxcri_testkit::Verdict;
use lxcri_testkit::image::Form;
use lxcri_testkit::verdict::Context;
use serde_json::Value;

/// How long a connection waits for what will not come. Clients give up before.
const PATIENCE: Duration = Duration::from_secs(20);

/// Accepts connections until it is dropped.
#[derive(Debug)]
struct Listener {
    address: SocketAddr,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Each connection is served by a thread of its own.
    fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Verdict<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, done) = (listener.local_addr()?, Arc::new(AtomicBool::new(false)));
        let (end, serve) = (Arc::clone(&done), Arc::new(serve));
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream));
            }
        });
        Ok(Self { address, done, thread: Some(thread) })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        // It looks at `done` when somebody comes.
        let _woken = TcpStream::connect(self.address);
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

/// What somebody asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// GET, HEAD and so on.
    pub method: String,
    /// The path with its query.
    pub target: String,
    /// The head as it came.
    pub head: String,
}

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// As a registry does that has the image.
    Honestly,
    /// With a status, lines of the head that each end in `\r\n`, and a body.
    With(u16, String, Vec<u8>),
    /// As [`Answer::Honestly`], but for a body that ends after so many bytes: the connection, too.
    Dies(usize),
    /// The same, and then nothing at all until the client has gone.
    Stalls(usize),
}

/// A registry with one image, which it may or may not hand out.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// What is to be said to a request.
pub type Script = dyn Fn(&Asked) -> Answer + Send + Sync;

impl Server {
    /// A registry with `image` under every name and tag.
    ///
    /// # Errors
    /// A failure when the image cannot be made or no port is free.
    pub fn start(image: &Image, script: Box<Script>) -> Verdict<Self> {
        let files = image.files(Form::Oci, "1")?.0;
        let index = files.get("index.json").context("index.json")?;
        let index: Value = serde_json::from_slice(index)?;
        let manifest = &index["manifests"][0];
        let manifest = manifest["digest"].as_str().context("a digest")?.to_owned();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let content = move |target: &str| {
            let (_, last) = target.rsplit_once('/')?;
            let digest = if last.starts_with("sha256:") { last } else { &manifest };
            files.get(&format!("blobs/sha256/{}", digest.strip_prefix("sha256:")?)).cloned()
        };
        let listener = Listener::start(move |stream| {
            // The client may be gone at any time.
            let _end = talk(stream, &*script, &content, &log);
        })?;
        Ok(Self { listener, asked })
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.listener.address.to_string()
    }

    /// Everything that was asked for.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn talk(
    stream: TcpStream,
    script: &Script,
    content: &dyn Fn(&str) -> Option<Vec<u8>>,
    log: &Mutex<Vec<Asked>>,
) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    loop {
        let asked = read_request(&mut reader)?;
        log.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
        let honest = || -> (u16, Vec<u8>) {
            if asked.target == "/v2/" {
                return (200, b"{}".to_vec());
            }
            content(&asked.target).map_or((404, b"{}".to_vec()), |body| (200, body))
        };
        let kind = if asked.target.contains("/manifests/") {
            "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n"
        } else {
            "Content-Type: application/octet-stream\r\n"
        };
        let most = |answer: &Answer| match answer {
            Answer::Dies(most) | Answer::Stalls(most) => *most,
            _ => usize::MAX,
        };
        let answer = script(&asked);
        let (most, stalls) = (most(&answer), matches!(answer, Answer::Stalls(_)));
        let (status, lines, body) = match answer {
            Answer::With(status, lines, body) => (status, lines, body),
            _ => {
                let (status, body) = honest();
                (status, kind.to_owned(), body)
            }
        };
        let head =
            format!("HTTP/1.1 {status} Status\r\n{lines}Content-Length: {}\r\n\r\n", body.len());
        out.write_all(head.as_bytes())?;
        if asked.method == "HEAD" {
            continue;
        }
        out.write_all(body.get(..most).unwrap_or(&body))?;
        out.flush()?;
        if stalls {
            io::copy(&mut reader, &mut io::sink())?;
        }
        if most < body.len() {
            return out.shutdown(Shutdown::Both);
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Asked> {
    let (mut head, mut line) = (String::new(), String::new());
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.push_str(&line);
    }
    let mut words = head.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    Ok(Asked { method, target, head })
}

/// Stands before a registry: counts what comes from there, and lets no more through than it may.
#[derive(Debug)]
pub struct Gate {
    listener: Listener,
    passed: Arc<Passed>,
}

#[derive(Debug, Default)]
struct Passed {
    bytes: AtomicU64,
    most: AtomicU64,
    requests: Mutex<Vec<u8>>,
}

impl Gate {
    /// Before the registry at `address`; `most` bytes of answers pass.
    ///
    /// # Errors
    /// A failure when no port is free.
    pub fn start(address: &str, most: u64) -> Verdict<Self> {
        let upstream: SocketAddr = address.parse()?;
        let passed = Arc::new(Passed { most: AtomicU64::new(most), ..Passed::default() });
        let counts = Arc::clone(&passed);
        let listener = Listener::start(move |client| {
            let _end = relay(&client, upstream, &counts);
            let _closed = client.shutdown(Shutdown::Both);
        })?;
        Ok(Self { listener, passed })
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.listener.address.to_string()
    }

    /// How many bytes of answers have passed, heads included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.passed.bytes.load(Ordering::SeqCst)
    }

    /// Lets everything pass from now on, forgets which requests there were, and counts anew.
    pub fn open(&self) {
        self.passed.bytes.store(0, Ordering::SeqCst);
        self.passed.most.store(u64::MAX, Ordering::SeqCst);
        self.passed.requests.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The requests, as text.
    #[must_use]
    pub fn requests(&self) -> String {
        let bytes = self.passed.requests.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).to_lowercase()
    }
}

fn relay(client: &TcpStream, upstream: SocketAddr, passed: &Arc<Passed>) -> io::Result<()> {
    let registry = TcpStream::connect(upstream)?;
    let (mut from, mut to) = (client.try_clone()?, registry.try_clone()?);
    let gone = Arc::new(AtomicBool::new(false));
    let (flag, counts) = (Arc::clone(&gone), Arc::clone(passed));
    let asking = thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let bytes = &buffer[..length];
            counts.requests.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
            if to.write_all(bytes).is_err() {
                break;
            }
        }
        flag.store(true, Ordering::SeqCst);
        let _closed = to.shutdown(Shutdown::Both);
    });
    let result = answers(&registry, client, &gone, passed);
    let _closed = client.shutdown(Shutdown::Both);
    let _ended = asking.join();
    result
}

fn answers(
    mut registry: &TcpStream,
    mut client: &TcpStream,
    gone: &AtomicBool,
    passed: &Passed,
) -> io::Result<()> {
    let mut buffer = [0; 16 << 10];
    loop {
        let length = registry.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        while passed.bytes.load(Ordering::SeqCst) >= passed.most.load(Ordering::SeqCst) {
            if gone.load(Ordering::SeqCst) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(2));
        }
        client.write_all(&buffer[..length])?;
        passed.bytes.fetch_add(length as u64, Ordering::SeqCst);
    }
}

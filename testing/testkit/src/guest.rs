//! Guests: machines with a kernel of our own choosing, booted for a test and thrown away after it.
//!
//! `tests/guests` builds what they boot and says what is in them. A guest shows the host's directories
//! that it is given under their own paths, writes to its disk what nobody else sees, and runs scripts
//! through an agent on a serial line.

use std::fmt;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use crate::process::output_of;
use crate::runtime::repository;
use crate::verdict::Context;
use crate::verdict::Stop;
use crate::verdict::Verdict;

/// How long a guest may take to answer for the first time. user-mode-linux boots within this, on a
/// machine with nothing to spare.
const BOOT: Duration = Duration::from_secs(120);

/// The longest line that a guest may print; the rest of a longer one is a line of its own.
const LONGEST_LINE: usize = 64 * 1024;

/// A kind of guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// user-mode-linux: one processor, boots in seconds; cgroup v2 with cpu, io, memory and pids,
    /// systemd, AppArmor.
    Uml,
    /// QEMU without hardware acceleration: Debian's own kernel, cpuset, ZFS, CRIU, udev. It goes on
    /// from a saved state.
    Vm,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uml => "uml",
            Self::Vm => "vm",
        })
    }
}

/// A directory of the host that a guest sees under the same path.
#[derive(Debug, Clone, Copy)]
pub enum Share<'a> {
    /// The guest can read it.
    ReadOnly(&'a Path),
    /// What the guest writes there, it writes on the host.
    Writable(&'a Path),
}

impl Share<'_> {
    fn path(&self) -> &Path {
        match self {
            Self::ReadOnly(path) | Self::Writable(path) => path,
        }
    }

    fn word(&self) -> String {
        let mode = match self {
            Self::ReadOnly(_) => "ro",
            Self::Writable(_) => "rw",
        };
        format!("{mode}:{}", self.path().display())
    }
}

/// A machine that runs. It ends when this is dropped.
#[derive(Debug)]
pub struct Guest {
    tier: Tier,
    process: Child,
    line: BufReader<UnixStream>,
    console: tempfile::NamedTempFile,
    requests: u32,
}

/// What a script in a guest printed and how it ended.
#[derive(Debug)]
pub struct Answer {
    /// The exit code, 128+n for signal n.
    pub code: i32,
    /// Standard output and error.
    pub output: String,
}

impl Answer {
    /// The output of a script that has to exit with 0.
    ///
    /// # Errors
    /// A failure with the output.
    pub fn ok(self) -> Verdict<String> {
        match self.code {
            0 => Ok(self.output),
            code => Err(Stop::Failed(format!("exit {code}: {}", self.output))),
        }
    }
}

impl Guest {
    /// The directory with what guests boot, built if it has to be (for minutes, once).
    ///
    /// # Errors
    /// A failure with the build's words: a tier that should be there and is not is no skip.
    pub fn built() -> Verdict<PathBuf> {
        let printed = output_of(&mut Command::new(repository().join("tests/guests/build.sh")))?;
        Ok(PathBuf::from(printed.trim_end()))
    }

    /// Boots a guest that sees `shares`, and waits until it answers.
    ///
    /// # Errors
    /// A failure with the end of the guest's console.
    pub fn boot(tier: Tier, shares: &[Share<'_>]) -> Verdict<Self> {
        let built = Self::built()?;
        let (ours, theirs) = UnixStream::pair()?;
        let console = tempfile::NamedTempFile::new()?;
        let process = Command::new(repository().join("tests/guests/boot.sh"))
            .arg(tier.to_string())
            .arg(built)
            .args(shares.iter().map(Share::word))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(console.reopen()?)
            .stderr(console.reopen()?)
            .spawn()
            .context("boot.sh")?;
        let line = BufReader::new(ours);
        let mut guest = Self { tier, process, line, console, requests: 0 };
        guest.wait_for_agent()?;
        guest.run_within(BOOT, &guest.welcome(shares)?)?.ok()?;
        Ok(guest)
    }

    /// Asks until the agent answers: what is sent while a saved state is loaded is lost.
    fn wait_for_agent(&mut self) -> Verdict {
        let end = Instant::now() + BOOT;
        let mut bytes = Vec::new();
        self.line.get_ref().set_read_timeout(Some(Duration::from_millis(100)))?;
        while !bytes.ends_with(b"agent ready\n") {
            bytes.clear();
            if Instant::now() > end {
                return Err(self.lost(&format!("no answer within {} s", BOOT.as_secs())));
            }
            match read_line(&mut self.line, &mut bytes) {
                Ok(0) => return Err(self.lost("its line was closed")),
                Err(error) if is_timeout(&error) => self.line.get_mut().write_all(b"\n")?,
                other => drop(other?),
            }
        }
        Ok(())
    }

    /// The script that sets the clock, which stood still while the state was saved, and mounts the
    /// shares.
    fn welcome(&self, shares: &[Share<'_>]) -> Verdict<String> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("clock")?;
        let mount = match self.tier {
            Tier::Uml => "mount -t hostfs -o hostfs=/mnt/share none /run/share",
            Tier::Vm => {
                "mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose share /run/share"
            }
        };
        let mut script = format!("set -e\ndate -s @{} >/dev/null\n", now.as_secs());
        if !shares.is_empty() {
            script.push_str(&format!("mkdir -p /run/share\n{mount}\n"));
        }
        for (number, share) in shares.iter().enumerate() {
            let path = quoted(&share.path().to_string_lossy());
            script.push_str(&format!("mkdir -p {path}\nmount --bind /run/share/{number} {path}\n"));
        }
        Ok(script)
    }

    /// Runs a bash script as root and waits for its end.
    ///
    /// # Errors
    /// When the guest ends or is silent for longer than `deadline`; not when the script fails.
    pub fn run_within(&mut self, deadline: Duration, script: &str) -> Verdict<Answer> {
        let mut output = String::new();
        let code = self.stream(deadline, script, &mut |line| {
            output.push_str(line);
            output.push('\n');
        })?;
        // The agent puts its own line feed before its last line.
        if output.ends_with('\n') {
            output.pop();
        }
        Ok(Answer { code, output })
    }

    /// Runs a bash script, hands every line to `each` as it comes, and returns the exit code.
    ///
    /// # Errors
    /// As [`Guest::run_within`].
    pub fn stream(
        &mut self,
        deadline: Duration,
        script: &str,
        each: &mut dyn FnMut(&str),
    ) -> Verdict<i32> {
        self.requests += 1;
        let nonce = format!("{:016x}", nonce(self.requests)?);
        let request = format!("{nonce} {}\n", base64(script.as_bytes()));
        let sent = self.line.get_mut().write_all(request.as_bytes());
        sent.map_err(|error| self.lost(&error.to_string()))?;
        self.lines_until(deadline, each, |line| line.strip_prefix(&nonce)?.trim().parse().ok())
    }

    /// Hands lines to `each` until `last` knows one.
    fn lines_until<T>(
        &mut self,
        deadline: Duration,
        each: &mut dyn FnMut(&str),
        last: impl Fn(&str) -> Option<T>,
    ) -> Verdict<T> {
        let mut end = Instant::now() + deadline;
        let mut bytes = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.line.get_ref().set_read_timeout(Some(left))?;
            match read_line(&mut self.line, &mut bytes) {
                Ok(0) => return Err(self.lost("its line was closed")),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => {
                    return Err(self.lost(&format!("no answer within {} s", deadline.as_secs())));
                }
                Err(error) => return Err(self.lost(&error.to_string())),
            }
            let text = String::from_utf8_lossy(&bytes);
            let line = text.trim_end_matches(['\r', '\n']);
            if let Some(found) = last(line) {
                return Ok(found);
            }
            each(line);
            bytes.clear();
            end = Instant::now() + deadline;
        }
    }

    /// The failure of a guest that cannot be talked to any more.
    fn lost(&self, why: &str) -> Stop {
        let console = std::fs::read(self.console.path()).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let lines: Vec<&str> = console.lines().collect();
        let end = lines.get(lines.len().saturating_sub(60)..).unwrap_or_default().join("\n  ");
        Stop::Failed(format!(
            "the {} guest is lost: {why}; its console ends with\n  {end}",
            self.tier
        ))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Everything of the guest is in a pid namespace below this process and ends with it.
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Appends a line, or as much as a line may hold, to `bytes`; 0 at the end.
fn read_line(line: &mut BufReader<UnixStream>, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let mut taken = 0;
    loop {
        let available = line.fill_buf()?;
        if available.is_empty() {
            return Ok(taken);
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(available.len(), |at| at + 1);
        bytes.extend_from_slice(available.get(..count).unwrap_or_default());
        line.consume(count);
        taken += count;
        if end.is_some() || bytes.len() >= LONGEST_LINE {
            return Ok(taken);
        }
    }
}

/// A number that nothing in the guest can guess.
fn nonce(request: u32) -> Verdict<u64> {
    let mut bytes = [0; 8];
    let mut random = std::fs::File::open("/dev/urandom")?;
    io::Read::read_exact(&mut random, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes) ^ u64::from(request))
}

/// A word for the shell.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut word = [0; 3];
        for (slot, byte) in word.iter_mut().zip(chunk) {
            *slot = *byte;
        }
        let [a, b, c] = word.map(u32::from);
        let bits = a << 16 | b << 8 | c;
        for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let letter = ALPHABET.get((bits >> shift & 63) as usize).copied().unwrap_or(b'=');
            text.push(char::from(if index <= chunk.len() { letter } else { b'=' }));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 4648, section 10.
    #[test]
    fn base64_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let writer = std::thread::spawn(move || theirs.write_all(&vec![b'x'; 3 * LONGEST_LINE]));
        let mut line = BufReader::new(ours);
        let mut bytes = Vec::new();
        read_line(&mut line, &mut bytes).unwrap();
        assert!(bytes.len() >= LONGEST_LINE && bytes.len() <= LONGEST_LINE + 8192);
        drop(line);
        let _broken_pipe = writer.join().unwrap();
    }
}

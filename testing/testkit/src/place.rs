//! Where a test program runs: on this machine in a view of the cgroup file systems, or in guests.

use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use crate::debian;
use crate::guest::Guest;
use crate::guest::Share;
use crate::guest::Tier;
use crate::guest::quoted;
use crate::runtime::PROGRAM;
use crate::runtime::Runtime;
use crate::runtime::repository;
use crate::verdict::Context;
use crate::verdict::Stop;
use crate::verdict::Verdict;
use crate::view::View;

/// Set inside of a guest to its tier's name.
const INSIDE: &str = "LXCRI_TEST_TIER";
/// Set inside of a guest to `INDEX/COUNT` when several guests share the tests of a program.
const SHARD: &str = "LXCRI_TEST_SHARD";
/// How often a guest may be lost to its own kernel before that is a failure: user-mode-linux 6.12 now
/// and then dies in a fork(2) that the kernel itself takes back (`copy_process` … `flush_tlb_mm`),
/// whatever runs in it.
const LOSSES: usize = 1;

/// How long a guest may be silent: the slowest test takes this long there.
fn silence(tier: Tier) -> Duration {
    Duration::from_secs(if tier == Tier::Uml { 120 } else { 300 })
}

/// MiB of memory for one guest: its own, and the emulator's.
const MEMORY: usize = 2048;

/// Where a test program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On this machine.
    Host(View),
    /// In a guest, which has cgroup v2 alone.
    Guest(Tier),
}

impl Place {
    /// The arrangement of the cgroup file systems there.
    #[must_use]
    pub fn view(self) -> View {
        match self {
            Self::Host(view) => view,
            Self::Guest(_) => View::V2,
        }
    }

    /// Whether this process is not there yet.
    #[must_use]
    pub fn is_elsewhere(self) -> bool {
        match self {
            Self::Host(_) => false,
            Self::Guest(tier) => std::env::var_os(INSIDE) != Some(OsString::from(tier.to_string())),
        }
    }

    /// The part of `tests` that is this process's.
    #[must_use]
    pub fn share_of<T>(tests: Vec<T>) -> Vec<T> {
        let shard = std::env::var(SHARD).unwrap_or_default();
        let Some((index, count)) = shard.split_once('/').and_then(|(index, count)| {
            Some((index.parse::<usize>().ok()?, count.parse::<usize>().ok()?))
        }) else {
            return tests;
        };
        let own = |position: &usize| position % count.max(1) == index;
        tests.into_iter().enumerate().filter(|(at, _)| own(at)).map(|(_, test)| test).collect()
    }

    /// Runs this program, with its arguments, in guests of the tier: as many as the machine has
    /// processors, each with a part of the tests, but no more than `tests`. Everything they print is
    /// printed.
    #[must_use]
    pub fn run_in_guests(tier: Tier, tests: usize) -> ExitCode {
        let count = match guests_that_fit() {
            Ok(count) => count.min(tests.max(1)),
            Err(stop) => return ExitCode::from(failed(tier, &stop.to_string())),
        };
        let codes: Vec<u8> = std::thread::scope(|scope| {
            let guests: Vec<_> =
                (0..count).map(|index| scope.spawn(move || in_guest(tier, index, count))).collect();
            guests.into_iter().map(|guest| guest.join().unwrap_or(101)).collect()
        });
        if codes.iter().all(|code| *code == 0) { ExitCode::SUCCESS } else { ExitCode::from(101) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(view) => view.fmt(f),
            Self::Guest(tier) => tier.fmt(f),
        }
    }
}

/// As many guests as the machine has processors and memory for.
fn guests_that_fit() -> Verdict<usize> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes: usize = line
        .and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
        .context("MemAvailable")?;
    let available = kilobytes / 1024;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    match (available / MEMORY).min(processors) {
        0 => Err(Stop::Failed(format!(
            "{available} MiB of memory are available, a guest needs {MEMORY} MiB"
        ))),
        count => Ok(count),
    }
}

/// Runs this program's part `index` of `count` in a guest and returns its exit code. Where the guest
/// is lost and no test has failed until then, the whole part begins anew in another guest.
fn in_guest(tier: Tier, index: usize, count: usize) -> u8 {
    let mut losses = 0;
    loop {
        let mut seen = Seen::default();
        let stop = match attempt(tier, index, count, &mut seen) {
            Ok(code) if seen.result => return u8::try_from(code).unwrap_or(101),
            Ok(code) => {
                return failed(tier, &format!("the tests ended with {code} and no result"));
            }
            Err(stop) => stop.to_string(),
        };
        losses += 1;
        if seen.failure || seen.result || losses > LOSSES {
            return failed(tier, &stop);
        }
        print(&format!("NOTE {tier}::guest: begins anew: {stop}"));
    }
}

/// What a guest has printed so far.
#[derive(Debug, Default)]
struct Seen {
    result: bool,
    failure: bool,
}

fn attempt(tier: Tier, index: usize, count: usize, seen: &mut Seen) -> Verdict<i32> {
    let shares = shares()?;
    let shares: Vec<Share<'_>> = shares.iter().map(|path| Share::ReadOnly(path)).collect();
    let mut guest = Guest::boot(tier, &shares)?;
    guest.stream(silence(tier), &script(tier, index, count)?, &mut |line| {
        seen.result |= line.starts_with("test result: ");
        seen.failure |= line.ends_with("FAILED");
        print(line);
    })
}

/// Prints a failure in the form of a failed test, so that the sum over all programs counts it.
fn failed(tier: Tier, why: &str) -> u8 {
    print(&format!("test {tier}::guest ... FAILED\n{why}"));
    print("test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out");
    101
}

/// One line at a time: guests print side by side.
fn print(line: &str) {
    static OUTPUT: Mutex<()> = Mutex::new(());
    let _turn = OUTPUT.lock().unwrap_or_else(PoisonError::into_inner);
    // Nothing sensible can be done when standard output is closed.
    let _unheard = writeln!(std::io::stdout().lock(), "{line}");
}

/// What the tests need of this machine: the repository, this program, and what the scripts keep in
/// the cache.
fn shares() -> Verdict<Vec<PathBuf>> {
    let mut paths = vec![repository()];
    let program = std::env::current_exe()?;
    let others =
        [program.parent().map(Path::to_owned), Runtime::program().parent().map(Path::to_owned)];
    let cached = ["peers", "roots"].map(|name| Some(cache().join("proxmox-lxcri").join(name)));
    for path in others.into_iter().chain(cached).flatten() {
        if path.exists() && !paths.iter().any(|shared| path.starts_with(shared)) {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn cache() -> PathBuf {
    let of_home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    std::env::var_os("XDG_CACHE_HOME").map_or_else(of_home, PathBuf::from)
}

/// The command line that runs this program in the guest.
fn script(tier: Tier, index: usize, count: usize) -> Verdict<String> {
    let mut variables = vec![
        (INSIDE, tier.to_string()),
        (SHARD, format!("{index}/{count}")),
        (PROGRAM, Runtime::program().to_string_lossy().into_owned()),
        ("XDG_CACHE_HOME", cache().to_string_lossy().into_owned()),
        ("HOME", "/root".to_owned()),
        ("TMPDIR", "/scratch".to_owned()),
        ("RUST_BACKTRACE", "0".to_owned()),
    ];
    if let Ok(root) = debian::root() {
        variables.push((debian::ROOT, root.to_string_lossy().into_owned()));
    }
    if let Ok(verbose) = std::env::var(crate::harness::VERBOSE) {
        variables.push((crate::harness::VERBOSE, verbose));
    }
    // In memory: the disk is emulated. And not /tmp, where systemd forbids device nodes.
    let scratch = "mkdir /scratch && mount -t tmpfs -o mode=1777 scratch /scratch";
    let home = quoted(&repository().to_string_lossy());
    let mut script = format!("{scratch} && cd {home} || exit 1\nexec env");
    for (name, value) in &variables {
        script.push_str(&format!(" {name}={}", quoted(value)));
    }
    let program = std::env::current_exe().context("this program")?;
    for word in std::iter::once(program.into_os_string()).chain(std::env::args_os().skip(1)) {
        script.push(' ');
        script.push_str(&quoted(&word.to_string_lossy()));
    }
    Ok(script)
}

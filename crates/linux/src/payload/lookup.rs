//! Finding the program of a payload, in the words that clients of runc match.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, FileType};
use rustix::io::Errno;

/// Why the user's program cannot run.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// Not in any directory of `$PATH`.
    #[error("exec: {program:?}: executable file not found in $PATH")]
    NotInPath {
        /// As given.
        program: String,
    },
    /// A path that is no file we may execute.
    #[error("exec: {program:?}: {problem}")]
    Unusable {
        /// As given.
        program: String,
        /// `no such file or directory`, `permission denied`, `is a directory`.
        problem: &'static str,
    },
    /// The kernel refused in the end.
    #[error("exec: {program:?}: {}", word(source))]
    Execute {
        /// As found.
        program: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// errno in the words of Go's syscall package, which clients know.
fn word(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT) => "no such file or directory".to_owned(),
        Some(libc::EACCES) => "permission denied".to_owned(),
        Some(libc::ENOEXEC) => "exec format error".to_owned(),
        _ => error.to_string(),
    }
}

/// Where programs are looked for when the environment has no `PATH` at all, as containerd's `ctr`
/// makes bundles.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The path to execute for `args[0]`: as it is where it holds a `/`, otherwise the first
/// executable of that name in the `PATH` of `environment`.
pub(super) fn find(args: &[String], environment: &[String]) -> Result<PathBuf, LookupError> {
    let program = args.first().map(String::as_str).unwrap_or_default();
    if program.contains('/') {
        return match check(Path::new(program)) {
            Ok(()) => Ok(program.into()),
            Err(problem) => Err(LookupError::Unusable { program: program.to_owned(), problem }),
        };
    }
    let path = environment.iter().rev().find_map(|entry| entry.strip_prefix("PATH="));
    path.unwrap_or(DEFAULT_PATH)
        .split(':')
        .filter(|directory| !directory.is_empty())
        .map(|directory| Path::new(directory).join(program))
        .find(|candidate| !program.is_empty() && check(candidate).is_ok())
        .ok_or_else(|| LookupError::NotInPath { program: program.to_owned() })
}

fn check(path: &Path) -> Result<(), &'static str> {
    let describe = |errno| match errno {
        Errno::NOENT | Errno::NOTDIR => "no such file or directory",
        Errno::LOOP => "too many levels of symbolic links",
        Errno::NAMETOOLONG => "file name too long",
        _ => "permission denied",
    };
    let stat = rustix::fs::stat(path).map_err(describe)?;
    if FileType::from_raw_mode(stat.st_mode).is_dir() {
        return Err("is a directory");
    }
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).map_err(describe)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_one(program: &str, path: &str) -> Result<PathBuf, String> {
        find(&[program.to_owned()], &[format!("PATH={path}")]).map_err(|error| error.to_string())
    }

    #[test]
    fn finds_as_a_shell_does() {
        assert_eq!(find_one("/bin/sh", ""), Ok("/bin/sh".into()));
        assert_eq!(find_one("sh", "/nowhere:/bin"), Ok("/bin/sh".into()));
        let without = find(&["sh".to_owned()], &["HOME=/".to_owned()]).unwrap();
        assert!(without.ends_with("sh"), "{without:?}");
    }

    #[test]
    fn clients_find_their_words() {
        let table = [
            ("nope", "/bin", "exec: \"nope\": executable file not found in $PATH"),
            ("", "/bin", "exec: \"\": executable file not found in $PATH"),
            ("sh", "", "exec: \"sh\": executable file not found in $PATH"),
            ("/nope", "/bin", "exec: \"/nope\": no such file or directory"),
            ("/etc/passwd", "/bin", "exec: \"/etc/passwd\": permission denied"),
            ("/etc/passwd/x", "/bin", "exec: \"/etc/passwd/x\": no such file or directory"),
            ("/tmp", "/bin", "exec: \"/tmp\": is a directory"),
        ];
        for (program, path, message) in table {
            assert_eq!(find_one(program, path).unwrap_err(), message);
        }
    }
}

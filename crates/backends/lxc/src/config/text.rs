//! What may stand in a file that liblxc reads: one line each, and exactly what was meant.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The longest value of a line. liblxc has no limit of its own; the kernel takes no path or value
/// beyond a page.
const LONGEST_VALUE: usize = 8192;

/// What is wrong with text for any use: a line break would begin a new line, a NUL would end the
/// value.
pub(crate) fn check_one_line(text: &[u8]) -> Result<(), String> {
    let named = [(b'\n', "a line feed"), (b'\r', "a carriage return"), (0, "a NUL")];
    match named.iter().find(|(byte, _)| text.contains(byte)) {
        Some((_, name)) => Err(format!("holds {name}")),
        None => Ok(()),
    }
}

/// What is wrong with text that only lxcri-init and the kernel see, such as an argument.
pub(crate) fn check_no_nul(text: &[u8]) -> Result<(), String> {
    if text.contains(&0) { Err("holds a NUL".to_owned()) } else { Ok(()) }
}

/// What is wrong with the value of a line: liblxc trims blanks, strips a pair of quotes, and takes
/// an empty value as "clear everything so far".
pub(crate) fn check_value(value: &str) -> Result<(), String> {
    check_one_line(value.as_bytes())?;
    let problem = if value.is_empty() {
        "is empty"
    } else if value.len() > LONGEST_VALUE {
        "is longer than 8192 bytes"
    } else if value.trim() != value {
        "begins or ends with a blank, which LXC would cut off"
    } else if is_quoted(value) {
        "is in quotes, which LXC would cut off"
    } else if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        "holds a control character"
    } else {
        return Ok(());
    };
    Err(problem.to_owned())
}

fn is_quoted(value: &str) -> bool {
    let (first, last) = (value.bytes().next(), value.bytes().last());
    value.len() > 1 && first == last && matches!(first, Some(b'\'' | b'"'))
}

/// What is wrong with the name of a key.
pub(crate) fn check_key(key: &str) -> Result<(), String> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if key.starts_with("lxc.") && key.len() <= 256 && key.bytes().all(known) {
        return Ok(());
    }
    Err(format!("{key:?} is no key of LXC"))
}

/// A path as text for a line.
pub(crate) fn path(path: &Path) -> Result<&str, String> {
    check_one_line(path.as_os_str().as_bytes())?;
    path.to_str().ok_or_else(|| format!("{path:?} is not UTF-8"))
}

/// What is wrong with a command line of ours: liblxc gives it to a shell or splits it at blanks, so
/// nothing that either would change may be in it.
pub(crate) fn check_command(command: &str) -> Result<(), String> {
    check_value(command)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._+-:@%=, ".contains(&byte);
    if command.starts_with('/') && command.bytes().all(plain) {
        return Ok(());
    }
    Err(format!("{command:?} is no absolute path with plain arguments"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_liblxc_would_change() {
        let long = "x".repeat(8193);
        let bad = [
            "",
            " ",
            "a\nb",
            "a\r",
            "\0",
            " a",
            "a ",
            "\ta",
            "'a'",
            "\"\"",
            "a\u{b}",
            "\u{a0}x",
            "\u{1b}[0m",
            long.as_str(),
        ];
        for value in bad {
            assert!(check_value(value).is_err(), "{value:?} was accepted");
        }
        for value in ["a", "a b\tc", "'a", "\"", "it's", "#a", "ä=1", "'a\""] {
            assert_eq!(check_value(value), Ok(()), "{value:?}");
        }
    }

    #[test]
    fn keys() {
        for key in ["lxc.a", "lxc.cgroup.hugetlb.2MB.max", "lxc.net.0.type", "lxc.hook.pre-start"] {
            assert_eq!(check_key(key), Ok(()), "{key}");
        }
        for key in ["", "lx", "lxc", "lxc.a b", "lxc.a=b", "lxc.a\n", "LXC.a", "lxc.ä", "#lxc.a"] {
            assert!(check_key(key).is_err(), "{key:?} was accepted");
        }
    }

    #[test]
    fn commands() {
        assert_eq!(check_command("/usr/libexec/x --id=a/b"), Ok(()));
        for command in
            ["x", "/x;y", "/x $y", "/x 'y'", "/x\ny", "/x `y`", "/x\\ y", "/x|y", "/x >y"]
        {
            assert!(check_command(command).is_err(), "{command:?} was accepted");
        }
    }
}

//! What liblxc wrote about a failure. Its log is a file of ours in memory, not something that a tool
//! printed.

use std::fs::File;
use std::io::{self, Read, Seek};

/// Most of a log that is looked at, in bytes. The first error is the cause, later ones follow from it.
const LOG_MAX: u64 = 256 << 10;

/// The first error of a log: the text after the place in the source that it came from.
///
/// A line is `PREFIX NAME TIME LEVEL FILE - PATH:FUNCTION:LINE - TEXT` (liblxc's `log.c`,
/// `log_append_logfile`), where the text of a failed system call begins with its reason and another
/// dash.
pub(crate) fn first_error(log: &mut File) -> io::Result<Option<String>> {
    log.rewind()?;
    let mut bytes = Vec::new();
    log.take(LOG_MAX).read_to_end(&mut bytes)?;
    Ok(find(&String::from_utf8_lossy(&bytes)))
}

fn find(log: &str) -> Option<String> {
    let text = |line: &str| {
        let (before, rest) = line.split_once(" - ")?;
        let is_error = before.split_whitespace().any(|word| word == "ERROR");
        let (_place, text) = rest.split_once(" - ")?;
        is_error.then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    log.lines().find_map(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_the_cause() {
        let log = "lxcri c1 20261122070138.123 WARN     conf - ../src/lxc/conf.c:f:1 - a warning\n\
            lxcri c1 20261122070138.124 ERROR    conf - ../src/lxc/conf.c:lxc_setup:4567 - \
            No such file or directory - Failed to mount \"x\" onto \"y\"\n\
            lxcri c1 20261122070138.125 ERROR    start - ../src/lxc/start.c:g:2 - Failed to start\n";
        let wanted = "No such file or directory - Failed to mount \"x\" onto \"y\"";
        assert_eq!(find(log).as_deref(), Some(wanted));
    }

    #[test]
    fn a_log_without_errors_has_no_cause() {
        for log in ["", "\n\n", "ERROR", "ERROR - x", "a ERROR b - p - ", "x INFO y - p - ERROR"] {
            assert_eq!(find(log), None, "{log:?}");
        }
    }
}

//! What the program says. A closed output changes nothing of what it does.

use std::io::Write;

/// Says how it goes.
pub(crate) fn say(line: &str) {
    // There is no other place to complain about a closed standard output.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Says what is wrong.
pub(crate) fn complain(line: &str) {
    // As above.
    let _ = writeln!(std::io::stderr(), "lxcri-fuzz: {line}");
}

//! `--env`, `--env-file` and `--label`.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

use lxcri_images::spec::Variable;

use crate::failure::Failure;

/// Gives a variable of our own environment.
pub(crate) type Caller<'c> = &'c dyn Fn(&str) -> Option<OsString>;

/// The most bytes of an environment file.
const MAX_FILE: u64 = 1 << 20;

/// `NAME=VALUE` or `NAME`.
pub(super) fn variable(text: &str) -> Result<String, String> {
    let name = text.split_once('=').map_or(text, |(name, _)| name);
    if name.is_empty() {
        return Err("a variable needs a name".to_owned());
    }
    Ok(text.to_owned())
}

/// `NAME=VALUE` or `NAME`, whose value is then empty.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    if name.is_empty() {
        return Err("a label needs a name".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// What a checked [`variable`] asks for.
pub(super) fn change(text: &str, caller: Caller<'_>) -> Result<Variable, Failure> {
    if let Some((name, value)) = text.split_once('=') {
        return Ok(Variable::Set(name.to_owned(), value.to_owned()));
    }
    let Some(value) = caller(text) else { return Ok(Variable::Unset(text.to_owned())) };
    match value.into_string() {
        Ok(value) => Ok(Variable::Set(text.to_owned(), value)),
        Err(_) => Err(Failure::new(format!("--env {text}: its value here is no UTF-8 text"))),
    }
}

/// A file in Docker's form: a variable on each line, `#` before a remark, nothing quoted. A name
/// alone takes over what we have, and is passed over where we have nothing.
pub(super) fn file(path: &Path, caller: Caller<'_>) -> Result<Vec<Variable>, Failure> {
    let read = Failure::io("read the environment file", path);
    let mut text = Vec::new();
    let opened = std::fs::File::open(path);
    if let Err(error) = opened.and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut text)) {
        return Err(read(error));
    }
    let wrong = |problem: String| Failure::new(format!("{}: {problem}", path.display()));
    if text.len() as u64 > MAX_FILE {
        return Err(wrong(format!("is larger than {} KiB", MAX_FILE >> 10)));
    }
    let text = String::from_utf8(text).map_err(|_| wrong("is no UTF-8 text".to_owned()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut variables = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = |problem: &str| wrong(format!("line {}: {problem}", number + 1));
        let name = line.split_once('=').map_or(line, |(name, _)| name);
        if name.is_empty() {
            return Err(place("no variable name before ="));
        }
        if name.contains(char::is_whitespace) || line.contains('\0') {
            return Err(place(&format!("{name:?} is no name of a variable")));
        }
        match change(line, caller)? {
            Variable::Unset(_) => {}
            set => variables.push(set),
        }
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str) -> Option<OsString> {
        use std::os::unix::ffi::OsStringExt;
        match name {
            "HERE" => Some("x=y".into()),
            "BAD" => Some(OsString::from_vec(vec![0xff])),
            _ => None,
        }
    }

    fn read(text: &[u8]) -> Result<Vec<Variable>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        super::file(file.path(), &caller).map_err(|failure| format!("{failure:?}"))
    }

    fn set(name: &str, value: &str) -> Variable {
        Variable::Set(name.into(), value.into())
    }

    #[test]
    fn variables() {
        assert_eq!(change("A=b=c", &caller).unwrap(), set("A", "b=c"));
        assert_eq!(change("HERE", &caller).unwrap(), set("HERE", "x=y"));
        assert_eq!(change("GONE", &caller).unwrap(), Variable::Unset("GONE".into()));
        assert!(change("BAD", &caller).is_err());
        assert!(variable("=x").is_err() && variable("").is_err() && variable("A=").is_ok());
        assert_eq!(label("a").unwrap(), ("a".to_owned(), String::new()));
        assert!(label("=x").is_err());
    }

    #[test]
    fn files() {
        let text =
            b"\xef\xbb\xbf# remark\n\n  A=1 \nB=\"quoted\" # not a remark\nHERE\nGONE\r\nC=\n";
        let wanted = [
            set("A", "1 "),
            set("B", "\"quoted\" # not a remark"),
            set("HERE", "x=y"),
            set("C", ""),
        ];
        assert_eq!(read(text).unwrap(), wanted);
        let table: [(&[u8], &str); 4] = [
            (b"A=1\n=x\n", "line 2: no variable name"),
            (b"A B=1\n", "line 1: \\\"A B\\\" is no name"),
            (b"\xff=1", "is no UTF-8 text"),
            (&vec![b'x'; (1 << 20) + 1], "is larger than 1024 KiB"),
        ];
        for (text, problem) in table {
            let error = read(text).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }
}

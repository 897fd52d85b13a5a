//! Names in an archive.

use super::error::Problem;
use super::limits::Limits;

/// Bytes of one name (`NAME_MAX`, limits.h).
const NAME_MAX: usize = 255;
/// Bytes of a path without the final NUL (`PATH_MAX`, limits.h).
pub(super) const PATH_MAX: usize = 4095;

/// A path as names with single slashes between them, relative to the root of the layer; empty for
/// the root itself. A leading slash means that root. `..` is refused: no program that makes layers
/// writes it, and where it leads depends on links.
pub(super) fn normalise(raw: &[u8], limits: &Limits) -> Result<Vec<u8>, Problem> {
    let mut path = Vec::with_capacity(raw.len());
    let mut depth = 0;
    if raw.contains(&0) {
        return Err(Problem::entry(raw, "has a NUL in its name"));
    }
    for name in raw.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => continue,
            b".." => return Err(Problem::entry(raw, "has \"..\" in its path")),
            _ if name.len() > NAME_MAX => {
                let message = format!("has a name longer than {NAME_MAX} bytes");
                return Err(Problem::entry(raw, message));
            }
            _ => {}
        }
        depth += 1;
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
    }
    if path.len() > PATH_MAX {
        return Err(Problem::entry(raw, format!("has a path longer than {PATH_MAX} bytes")));
    }
    if depth > limits.depth {
        return Err(Problem::limit("a path deeper than", format!("{} names", limits.depth), raw));
    }
    Ok(path)
}

/// The directory and the last name.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_and_go_down() {
        let normal = |raw: &[u8]| normalise(raw, &Limits::default());
        assert_eq!(normal(b"./").unwrap(), b"");
        assert_eq!(normal(b"/").unwrap(), b"");
        assert_eq!(normal(b"//etc/./passwd/").unwrap(), b"etc/passwd");
        assert_eq!(normal(b"\xff\n/...").unwrap(), b"\xff\n/...");
        for (raw, message) in [
            (&b"../etc/passwd"[..], r#"entry "../etc/passwd" has ".." in its path"#),
            (b"a/../../b", r#"entry "a/../../b" has ".." in its path"#),
            (b"/..", r#"entry "/.." has ".." in its path"#),
            (b"a\0b", "entry \"a\\0b\" has a NUL in its name"),
        ] {
            assert_eq!(normal(raw).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn long_and_deep_paths() {
        let normal = |raw: Vec<u8>| normalise(&raw, &Limits::default());
        assert!(normal(vec![b'n'; 255]).is_ok());
        let error = normal(vec![b'n'; 256]).unwrap_err().to_string();
        assert!(error.ends_with("has a name longer than 255 bytes"), "{error}");
        assert!(normal(b"d/".repeat(512)).is_ok());
        let error = normal(b"d/".repeat(513)).unwrap_err().to_string();
        assert!(error.starts_with("a path deeper than 512 names (at \"d/d/"), "{error}");
        let error = normal([vec![b'n'; 250], vec![b'/']].concat().repeat(20)).unwrap_err();
        assert!(error.to_string().ends_with("has a path longer than 4095 bytes"), "{error}");
    }

    #[test]
    fn directory_and_name() {
        assert_eq!(split(b"a"), (&b""[..], &b"a"[..]));
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
    }
}

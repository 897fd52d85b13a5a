//! `--cpus`, `--ulimit`, `--sysctl` and sizes.

use lxcri_core::oci::Rlimit;
use lxcri_core::suggest;
use lxcri_linux::rlimit;

use crate::size;

/// Bytes, and some.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let bytes = size::bytes(text)?;
    u64::try_from(bytes).ok().filter(|bytes| *bytes > 0).ok_or("must be above 0".to_owned())
}

/// A decimal number of CPUs, in billionths; nothing finer than that.
pub(super) fn cpus(text: &str) -> Result<u64, String> {
    let problem = || format!("{text:?} is no number of CPUs such as 2 or 0.5");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return Err(problem());
    }
    if fraction.len() > 9 {
        return Err(format!("{text:?} is finer than a billionth of a CPU"));
    }
    let number = |part: &str| if part.is_empty() { Ok(0) } else { part.parse::<u64>() };
    let whole = number(whole).map_err(|_| problem())?;
    let fraction = number(&format!("{fraction:0<9}")).map_err(|_| problem())?;
    let nano = whole.checked_mul(1_000_000_000).and_then(|nano| nano.checked_add(fraction));
    nano.ok_or_else(problem)
}

/// `NAME=SOFT[:HARD]`; -1 is no limit.
pub(super) fn ulimit(text: &str) -> Result<Rlimit, String> {
    let (name, values) = text.split_once('=').ok_or("is not NAME=SOFT[:HARD]")?;
    let short = |known: &'static str| known.trim_start_matches("RLIMIT_").to_ascii_lowercase();
    let known = rlimit::NAMES.iter().find(|(known, _)| short(known) == name);
    let Some((kind, _)) = known else {
        let names: Vec<String> = rlimit::NAMES.iter().map(|(known, _)| short(known)).collect();
        let nearest = suggest::nearest(name, names.iter().map(String::as_str));
        let hint = nearest.map(|nearest| format!(", did you mean {nearest}?")).unwrap_or_default();
        return Err(format!("unknown limit {name:?}{hint}"));
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (limit(soft)?, limit(hard)?);
    if soft > hard {
        return Err(format!("soft limit {soft} is above hard limit {hard}"));
    }
    Ok(Rlimit { kind: (*kind).to_owned(), soft, hard })
}

fn limit(text: &str) -> Result<u64, String> {
    if text == "-1" {
        return Ok(rlimit::INFINITY);
    }
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = digits.then(|| text.parse().ok()).flatten();
    value.ok_or_else(|| format!("{text:?} is no limit: a number is, or -1"))
}

/// `NAME=VALUE`; the rest is judged with the container's namespaces.
pub(super) fn sysctl(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("is not NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_cpus() {
        let table = [
            ("2", 2_000_000_000),
            ("0.5", 500_000_000),
            (".25", 250_000_000),
            ("1.", 1_000_000_000),
            ("0.000000001", 1),
        ];
        for (text, nano) in table {
            assert_eq!(cpus(text), Ok(nano), "{text}");
        }
        for text in ["", ".", "-1", "1e3", "0.0000000001", "99999999999999", "1.5.0", "٣"] {
            assert!(cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn resource_limits() {
        let found = ulimit("nofile=1024:4096").unwrap();
        assert_eq!((found.kind.as_str(), found.soft, found.hard), ("RLIMIT_NOFILE", 1024, 4096));
        let found = ulimit("core=-1").unwrap();
        assert_eq!((found.soft, found.hard), (u64::MAX, u64::MAX));
        let table = [
            ("nofile", "is not NAME=SOFT"),
            ("nofiles=1", "unknown limit \"nofiles\", did you mean nofile?"),
            ("RLIMIT_NOFILE=1", "unknown limit"),
            ("core=5:1", "soft limit 5 is above hard limit 1"),
            ("core=-1:1", "is above hard limit 1"),
            ("core=x", "\"x\" is no limit"),
            ("core=+1", "\"+1\" is no limit"),
            ("core=1:", "\"\" is no limit"),
        ];
        for (text, problem) in table {
            let error = ulimit(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_and_parameters() {
        assert_eq!(size("1m"), Ok(1 << 20));
        assert!(size("0").is_err() && size("-1").is_err());
        assert_eq!(sysctl("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(sysctl("a").is_err() && sysctl("=a").is_err());
    }
}

//! `--device`.

use lxcri_images::spec::DeviceRequest;

/// `PATH`, `PATH:INSIDE`, `PATH:rwm` or `PATH:INSIDE:rwm`.
pub(super) fn device(text: &str) -> Result<DeviceRequest, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (host, inside, access) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, access] if is_access(access) => (*host, *host, *access),
        [host, inside] => (*host, *inside, "rwm"),
        [host, inside, access] if is_access(access) => (*host, *inside, *access),
        [_, _, access] => return Err(format!("{access:?} is not one or more of r, w and m")),
        _ => return Err("has more than three parts".to_owned()),
    };
    for path in [host, inside] {
        if !path.starts_with('/') {
            return Err(format!("{path:?} is no absolute path"));
        }
    }
    Ok(DeviceRequest { host: host.into(), container: inside.into(), access: access.to_owned() })
}

/// Letters of `rwm`, each once.
fn is_access(text: &str) -> bool {
    let once = |letter: char| text.matches(letter).count() == 1;
    !text.is_empty() && text.chars().all(|letter| "rwm".contains(letter) && once(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices() {
        let table = [
            ("/dev/a", ("/dev/a", "/dev/a", "rwm")),
            ("/dev/a:r", ("/dev/a", "/dev/a", "r")),
            ("/dev/a:/dev/b", ("/dev/a", "/dev/b", "rwm")),
            ("/dev/a:/dev/b:mw", ("/dev/a", "/dev/b", "mw")),
        ];
        for (text, (host, inside, access)) in table {
            let found = device(text).unwrap();
            let wanted = DeviceRequest {
                host: host.into(),
                container: inside.into(),
                access: access.into(),
            };
            assert_eq!(found, wanted, "{text}");
        }
        for text in ["", "dev/a", "/dev/a:", "/dev/a:rx", "/dev/a:rr", "/dev/a:/b:", "/a:/b:r:w"] {
            assert!(device(text).is_err(), "{text}");
        }
    }
}

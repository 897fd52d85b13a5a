//! `--volume`, `--mount` and `--tmpfs`, as Docker reads them.

use std::path::PathBuf;

use lxcri_core::suggest;
use lxcri_images::spec::{MountKind, MountRequest, PROPAGATIONS};

use super::limit;

/// Words of `--volume` that ask for what is so anyway: consistency is a matter of Docker Desktop.
const WITHOUT_EFFECT: [&str; 4] = ["rw", "consistent", "cached", "delegated"];

/// Keys of `--mount`.
const KEYS: [&str; 14] = [
    "type",
    "source",
    "src",
    "target",
    "destination",
    "dst",
    "readonly",
    "ro",
    "bind-propagation",
    "bind-nonrecursive",
    "bind-recursive",
    "volume-nocopy",
    "tmpfs-size",
    "tmpfs-mode",
];

/// Keys of `--mount` that Docker has and we have nothing for yet.
const LATER: [&str; 5] =
    ["volume-driver", "volume-label", "volume-opt", "volume-subpath", "image-subpath"];

/// `--volume`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) request: MountRequest,
    /// Whether an SELinux label was asked for.
    pub(super) relabel: bool,
}

/// `DIR`, `SOURCE:DIR` or `SOURCE:DIR:OPTIONS`. A source with a slash or a leading dot is a path,
/// anything else the name of a volume.
pub(super) fn volume(text: &str) -> Result<Volume, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, destination, words) = match parts.as_slice() {
        [destination] => (None, *destination, ""),
        [source, destination] => (Some(*source), *destination, ""),
        [source, destination, words] => (Some(*source), *destination, *words),
        _ => return Err("has more than three parts".to_owned()),
    };
    if destination.is_empty() || source == Some("") {
        return Err("has an empty part".to_owned());
    }
    let words = Words::parse(words)?;
    if !destination.starts_with('/') {
        return Err(format!("mount path {destination:?} must be absolute"));
    }
    let kind = match source.filter(|source| is_path(source)) {
        Some(_) if words.nocopy => return Err("nocopy is for volumes alone".to_owned()),
        Some(path) => MountKind::Bind {
            source: path.into(),
            propagation: words.propagation.unwrap_or(PROPAGATIONS[0]),
            recursive: true,
            make_source: true,
        },
        None if words.propagation.is_some() => {
            return Err("the propagation is for directories of the host alone".to_owned());
        }
        None => MountKind::Volume { name: source.map(str::to_owned), copy: !words.nocopy },
    };
    let destination = destination.to_owned();
    let request = MountRequest { flag: "--volume", destination, read_only: words.read_only, kind };
    Ok(Volume { request, relabel: words.relabel })
}

fn is_path(source: &str) -> bool {
    source.starts_with(['/', '.', '~'])
}

/// Options behind `--volume`.
#[derive(Default)]
struct Words {
    read_only: bool,
    propagation: Option<&'static str>,
    nocopy: bool,
    relabel: bool,
}

impl Words {
    fn parse(text: &str) -> Result<Self, String> {
        let mut words = Self::default();
        let mut seen = Vec::new();
        for word in text.split(',').filter(|_| !text.is_empty()) {
            if seen.contains(&word)
                || (["ro", "rw"].contains(&word) && seen.iter().any(|w| ["ro", "rw"].contains(w)))
            {
                return Err(format!("option {word:?} is given twice"));
            }
            seen.push(word);
            let propagation = PROPAGATIONS.iter().find(|known| **known == word);
            match word {
                "ro" => words.read_only = true,
                "nocopy" => words.nocopy = true,
                "z" | "Z" => words.relabel = true,
                _ if WITHOUT_EFFECT.contains(&word) => {}
                _ => match propagation {
                    Some(_) if words.propagation.is_some() => {
                        return Err("has two propagations".to_owned());
                    }
                    Some(known) => words.propagation = Some(known),
                    None => return Err(unknown_word(word)),
                },
            }
        }
        Ok(words)
    }
}

fn unknown_word(word: &str) -> String {
    let others = ["ro", "nocopy", "z", "Z"];
    let known = others.into_iter().chain(WITHOUT_EFFECT).chain(PROPAGATIONS);
    match suggest::nearest(word, known) {
        Some(nearest) => format!("unknown option {word:?}, did you mean {nearest}?"),
        None => format!("unknown option {word:?}"),
    }
}

/// `DIR[:OPTIONS]`.
pub(super) fn tmpfs(text: &str) -> Result<MountRequest, String> {
    let (destination, words) = text.split_once(':').unwrap_or((text, ""));
    if !destination.starts_with('/') {
        return Err(format!("mount path {destination:?} must be absolute"));
    }
    let options = words.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let kind = MountKind::Tmpfs { options };
    let destination = destination.to_owned();
    Ok(MountRequest { flag: "--tmpfs", destination, read_only: false, kind })
}

/// Comma-separated keys and values.
pub(super) fn mount(text: &str) -> Result<MountRequest, String> {
    let mut keys = Keys::default();
    for field in fields(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(value)),
            None => (field.to_ascii_lowercase(), None),
        };
        keys.set(&key, value)?;
    }
    keys.request()
}

/// Fields of one line of comma-separated values; quotation marks hold a comma in a field, and a
/// doubled one is itself (RFC 4180).
fn fields(text: &str) -> Result<Vec<String>, String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let Some(field) = fields.last_mut() else { break };
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => fields.push(String::new()),
            _ => field.push(letter),
        }
    }
    if quoted { Err("has a quotation mark without its end".to_owned()) } else { Ok(fields) }
}

/// What `--mount` says so far.
#[derive(Default)]
struct Keys {
    kind: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: bool,
    propagation: Option<&'static str>,
    not_recursive: bool,
    no_copy: bool,
    size: Option<u64>,
    mode: Option<u32>,
    /// Keys of one type alone, with that type.
    special: Vec<(String, &'static str)>,
}

impl Keys {
    fn set(&mut self, key: &str, value: Option<&str>) -> Result<(), String> {
        let needed = || value.ok_or_else(|| format!("{key} needs a value"));
        match key {
            "type" => self.kind = Some(needed()?.to_ascii_lowercase()),
            "source" | "src" => self.source = Some(needed()?.to_owned()),
            "target" | "destination" | "dst" => self.target = Some(needed()?.to_owned()),
            "readonly" | "ro" => self.read_only = truth(key, value)?,
            // A word of Docker Desktop.
            "consistency" => drop(needed()?),
            "bind-propagation" => self.propagation = Some(propagation(needed()?)?),
            "bind-nonrecursive" => self.not_recursive = truth(key, value)?,
            "bind-recursive" => self.not_recursive = recursion(needed()?)?,
            "volume-nocopy" => self.no_copy = truth(key, value)?,
            "tmpfs-size" => self.size = Some(limit::size(needed()?)?),
            "tmpfs-mode" => self.mode = Some(mode(needed()?)?),
            _ if LATER.contains(&key) => return Err(format!("{key} is not supported yet")),
            _ => return Err(unknown_key(key)),
        }
        let types = ["bind", "volume", "tmpfs"];
        let special =
            types.iter().find(|kind| key.split_once('-').is_some_and(|(k, _)| k == **kind));
        self.special.extend(special.map(|kind| (key.to_owned(), *kind)));
        Ok(())
    }

    fn request(self) -> Result<MountRequest, String> {
        let name = self.kind.as_deref().unwrap_or("volume");
        if let Some((key, kind)) = self.special.iter().find(|(_, kind)| *kind != name) {
            return Err(format!("{key} is for type={kind}, this is type={name}"));
        }
        let destination = self.target.ok_or("target is missing")?;
        if !destination.starts_with('/') {
            return Err(format!("mount path {destination:?} must be absolute"));
        }
        let kind = match name {
            "bind" => MountKind::Bind {
                source: self
                    .source
                    .filter(|s| !s.is_empty())
                    .map(PathBuf::from)
                    .ok_or("source is missing")?,
                propagation: self.propagation.unwrap_or(PROPAGATIONS[0]),
                recursive: !self.not_recursive,
                make_source: false,
            },
            "volume" => MountKind::Volume {
                name: self.source.filter(|source| !source.is_empty()),
                copy: !self.no_copy,
            },
            "tmpfs" if self.source.is_some() => return Err("a tmpfs has no source".to_owned()),
            "tmpfs" => {
                let size = self.size.map(|size| format!("size={size}"));
                let mode = self.mode.map(|mode| format!("mode={mode:o}"));
                MountKind::Tmpfs { options: size.into_iter().chain(mode).collect() }
            }
            other => return Err(format!("type {other:?} is none of bind, volume and tmpfs")),
        };
        Ok(MountRequest { flag: "--mount", destination, read_only: self.read_only, kind })
    }
}

fn unknown_key(key: &str) -> String {
    match suggest::nearest(key, KEYS) {
        Some(nearest) => format!("unknown key {key:?}, did you mean {nearest}?"),
        None => format!("unknown key {key:?}"),
    }
}

fn truth(key: &str, value: Option<&str>) -> Result<bool, String> {
    match value {
        None | Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(format!("{key}={other:?} is neither true nor false")),
    }
}

fn propagation(word: &str) -> Result<&'static str, String> {
    let known = PROPAGATIONS.into_iter().find(|known| *known == word);
    known.ok_or_else(|| format!("propagation {word:?} is none of {}", PROPAGATIONS.join(", ")))
}

/// Whether the mounts below stay out. `writable` would leave them so below a read-only mount.
fn recursion(word: &str) -> Result<bool, String> {
    match word {
        "enabled" | "readonly" => Ok(false),
        "disabled" => Ok(true),
        "writable" => Err("bind-recursive=writable is not supported yet".to_owned()),
        other => Err(format!("bind-recursive={other:?} is none of enabled, disabled, readonly")),
    }
}

fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
    mode.ok_or_else(|| format!("tmpfs-mode {text:?} is no octal mode such as 1770"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(source: &str, propagation: &'static str, recursive: bool, make: bool) -> MountKind {
        MountKind::Bind { source: source.into(), propagation, recursive, make_source: make }
    }

    fn named(name: Option<&str>, copy: bool) -> MountKind {
        MountKind::Volume { name: name.map(str::to_owned), copy }
    }

    #[test]
    fn volumes() {
        let table = [
            ("/data", named(None, true), false),
            ("db:/data", named(Some("db"), true), false),
            ("db:/data:ro,nocopy", named(Some("db"), false), true),
            ("/srv:/data", bind("/srv", "rprivate", true, true), false),
            ("./a:/data:rslave,ro", bind("./a", "rslave", true, true), true),
            ("..:/data:cached", bind("..", "rprivate", true, true), false),
        ];
        for (text, kind, read_only) in table {
            let found = volume(text).unwrap();
            assert_eq!(found.request.destination, "/data", "{text}");
            assert_eq!((found.request.kind, found.request.read_only), (kind, read_only), "{text}");
        }
        assert!(volume("/a:/b:Z").unwrap().relabel);
        let table = [
            ("a:/b:ro:x", "more than three parts"),
            ("", "empty part"),
            (":/b", "empty part"),
            ("a:", "empty part"),
            ("/a:ro", "mount path \"ro\" must be absolute"),
            ("data", "mount path \"data\" must be absolute"),
            ("a:/b:r0", "unknown option \"r0\", did you mean ro?"),
            ("a:/b:ro,rw", "given twice"),
            ("a:/b:ro,", "unknown option \"\""),
            ("/a:/b:nocopy", "nocopy is for volumes alone"),
            ("a:/b:rshared", "for directories of the host alone"),
            ("/a:/b:shared,slave", "two propagations"),
        ];
        for (text, problem) in table {
            let error = volume(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn mounts() {
        let table = [
            ("type=bind,source=/a,target=/b", bind("/a", "rprivate", true, false), false),
            (
                "type=bind,src=/a,dst=/b,ro,bind-propagation=rshared",
                bind("/a", "rshared", true, false),
                true,
            ),
            (
                "type=bind,\"src=/a,b\",dst=/b,bind-recursive=disabled",
                bind("/a,b", "rprivate", false, false),
                false,
            ),
            ("destination=/b", named(None, true), false),
            (
                "Type=volume,source=db,target=/b,readonly=1,volume-nocopy",
                named(Some("db"), false),
                true,
            ),
            (
                "type=tmpfs,target=/b,tmpfs-size=1m,tmpfs-mode=1770,readonly=false",
                MountKind::Tmpfs { options: vec!["size=1048576".into(), "mode=1770".into()] },
                false,
            ),
        ];
        for (text, kind, read_only) in table {
            let found = mount(text).unwrap();
            assert_eq!(found.destination, "/b", "{text}");
            assert_eq!((found.kind, found.read_only), (kind, read_only), "{text}");
        }
        let table = [
            ("", "unknown key \"\""),
            ("type=bind,src=/a", "target is missing"),
            ("type=bind,dst=/a", "source is missing"),
            ("type=bind,src=/a,dst=b", "must be absolute"),
            ("type=bnd,dst=/a", "none of bind, volume and tmpfs"),
            ("type=tmpfs,dst=/a,src=b", "a tmpfs has no source"),
            ("type=tmpfs,dst=/a,bind-propagation=slave", "is for type=bind, this is type=tmpfs"),
            ("dst=/a,sorce=b", "unknown key \"sorce\", did you mean source?"),
            ("dst=/a,readonly=perhaps", "neither true nor false"),
            ("dst=/a,volume-driver=x", "not supported yet"),
            ("type=tmpfs,dst=/a,tmpfs-mode=999", "no octal mode"),
            ("dst", "dst needs a value"),
            ("\"dst=/a", "quotation mark"),
        ];
        for (text, problem) in table {
            let error = mount(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn memory() {
        let found = tmpfs("/run:size=64k,mode=755,exec").unwrap();
        let options = ["size=64k", "mode=755", "exec"].map(str::to_owned).to_vec();
        assert_eq!(
            (found.destination.as_str(), found.kind),
            ("/run", MountKind::Tmpfs { options })
        );
        assert_eq!(tmpfs("/run").unwrap().kind, MountKind::Tmpfs { options: vec![] });
        assert!(tmpfs("run").is_err());
    }
}
